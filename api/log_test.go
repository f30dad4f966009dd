package api_test

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"

	apiv1 "github.com/pando-ca/pando/api/v1"

	"github.com/pando-ca/pando/api/apitest"
)

// TestSecretsAreNotLogged sends every kind of request through both doors, with credentials of
// every kind, good and bad, at the most talkative level, and looks in the log for what was sent.
func TestSecretsAreNotLogged(t *testing.T) {
	options := &slog.HandlerOptions{Level: slog.LevelDebug}
	for name, handler := range map[string]func(*buffer) slog.Handler{
		"JSON": func(b *buffer) slog.Handler { return slog.NewJSONHandler(b, options) },
		"text": func(b *buffer) slog.Handler { return slog.NewTextHandler(b, options) },
	} {
		t.Run(name, func(t *testing.T) {
			var log buffer
			s := &secrets{jobs: newLoggedJobs(t, slog.New(handler(&log)))}
			s.askForAll(t)
			s.enrol(t)
			log.await(s.requests)
			text := log.String()
			for _, secret := range s.sent {
				if strings.Contains(text, secret) {
					t.Errorf("the log holds %q", secret)
				}
			}
			if len(s.sent) < 20 || strings.Contains(text, "BEGIN") {
				t.Errorf("%d secrets were sent; the log:\n%s", len(s.sent), text)
			}
			if name == "JSON" {
				checkLines(t, text, s.requests)
			}
		})
	}
}

// secrets sends them, and remembers them.
type secrets struct {
	*jobs
	requests int
	sent     []string
}

// remember keeps what must not be in the log: a text, and each long part of it.
func (s *secrets) remember(text string) {
	if text != "" {
		s.sent = append(s.sent, text)
	}
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return r == '.' || r == '\n' }) {
		if len(part) > 20 {
			s.sent = append(s.sent, part)
		}
	}
}

// askForAll asks for every operation as everybody.
func (s *secrets) askForAll(t *testing.T) {
	t.Helper()
	for _, role := range apitest.Roles() {
		client, conn := s.doors.HTTP(t, role), s.doors.GRPC(t, role)
		for _, c := range permissionCases(t) {
			if c.request.httpMethod == http.MethodPost && c.request.body == nil {
				c.request.body = toJSON(t, c.request.message)
			}
			if in, ok := c.request.message.(interface{ GetCsr() string }); ok {
				s.remember(in.GetCsr())
			}
			overREST(t, s.doors, client, c.request)
			overGRPC(t, conn, c.request)
			s.requests += 2
		}
	}
}

// enrol shows bearer tokens of every kind through both doors.
func (s *secrets) enrol(t *testing.T) {
	t.Helper()
	operator := s.doors.GRPC(t, apitest.Operator)
	entry, err := apiv1.NewEntryServiceClient(operator).CreateEntry(t.Context(), &apiv1.CreateEntryRequest{SpiffeId: "spiffe://example.org/web", Method: "join_token"})
	if err != nil {
		t.Fatal(err)
	}
	token, err := apiv1.NewJoinTokenServiceClient(operator).CreateJoinToken(t.Context(), &apiv1.CreateJoinTokenRequest{EntryId: entry.GetId()})
	if err != nil {
		t.Fatal(err)
	}
	s.requests += 2
	jwt := s.token(t, map[string]any{"team": "a"})
	for _, bearer := range []string{
		token.GetToken(), jwt,
		s.token(t, map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}),
		s.token(t, map[string]any{"iss": "https://elsewhere.example.org"}),
		jwt[:len(jwt)-8] + "AAAAAAAA",
		"pjt_n0n0n0n0n0n0n0n0n0n0n0n0n0n0n0n0n0n0n0n0n0n",
		"not-a-token-of-any-kind-but-perhaps-a-password",
	} {
		csr := pemCSR(t)
		s.remember(bearer)
		s.remember(csr)
		block, _ := pem.Decode([]byte(csr))
		s.sent = append(s.sent, base64.StdEncoding.EncodeToString(block.Bytes))
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+bearer)
		_, _ = apiv1.NewCertificateServiceClient(s.doors.GRPC(t, apitest.Anonymous)).SignCertificate(ctx, &apiv1.SignCertificateRequest{Csr: csr})
		s.overHTTP(t, "Bearer "+bearer, csr)
		s.overHTTP(t, bearer, csr)
		s.requests += 3
	}
}

// overHTTP sends a bare CSR with a header of the caller's choice.
func (s *secrets) overHTTP(t *testing.T, authorization, csr string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.doors.URL+"/v1/certificates", strings.NewReader(csr))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", authorization)
	request.Header.Set("Content-Type", "application/pkcs10")
	response, err := s.doors.HTTP(t, apitest.Anonymous).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
}

// checkLines: one line for each request, with what there is to know of it.
func checkLines(t *testing.T, text string, requests int) {
	t.Helper()
	doors, polls := map[string]int{}, 0
	for line := range strings.Lines(text) {
		var l struct {
			Level, Msg, Door, Op, Method, Code, Serial string
			RequestID                                  string `json:"request_id"`
			Caller                                     *string
			Duration                                   *int64
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if l.Msg != "request" {
			continue
		}
		doors[l.Door]++
		if l.RequestID == "" || l.Caller == nil || l.Duration == nil || l.Code == "" {
			t.Errorf("a line lacks something: %s", line)
		}
		if l.Code == "ok" && (l.Op == "certificates.sign" || l.Op == "certificates.renew") && l.Serial == "" && *l.Caller != "" && l.Method != "mtls" {
			t.Errorf("a certificate was issued, and its serial number is not there: %s", line)
		}
		if l.Op == "trust.get" && l.Code == "ok" {
			polls++
			if l.Level != "DEBUG" {
				t.Errorf("a poll is not for debugging: %s", line)
			}
		}
	}
	if doors["rest"]+doors["grpc"] != requests || doors["rest"] == 0 || doors["grpc"] == 0 || polls == 0 {
		t.Errorf("%v lines of %d requests, %d of polls", doors, requests, polls)
	}
}
