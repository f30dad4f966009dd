package api_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	apiv1 "github.com/pando-ca/pando/api/v1"

	"github.com/pando-ca/pando/api/apitest"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/server/auth"
	"github.com/pando-ca/pando/store"
)

// broken is an inserter whose commits fail.
type broken struct{ err error }

func (b broken) InsertBatch(context.Context, []*store.Issuance, time.Time) ([]error, error) {
	return nil, b.err
}

// hanging is an inserter whose commits end with the batcher's patience.
type hanging struct{ release chan struct{} }

func (h hanging) InsertBatch(context.Context, []*store.Issuance, time.Time) ([]error, error) {
	<-h.release
	return nil, store.ErrUnavailable
}

// failure is what a test expects both doors to tell.
type failure struct {
	code  string
	http  int
	grpc  codes.Code
	retry bool
}

// expect signs through both doors, as an operator, and compares what they tell.
func expect(t *testing.T, doors *apitest.Doors, want failure) {
	t.Helper()
	in := &apiv1.SignCertificateRequest{Csr: pemCSR(t), SpiffeId: "spiffe://example.org/web"}
	response, err := doors.HTTP(t, apitest.Operator).Post(doors.URL+"/v1/certificates", "application/json", bytes.NewReader(toJSON(t, in)))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	_, _, code := overREST(t, doors, doors.HTTP(t, apitest.Operator), request{httpMethod: http.MethodPost, path: "/v1/certificates", body: toJSON(t, in)})
	if got := response.Header.Get("Retry-After"); response.StatusCode != want.http || code != want.code || (got != "") != want.retry {
		t.Errorf("REST answers %s, code %s, Retry-After %q; want %+v", response.Status, code, got, want)
	}
	_, err = apiv1.NewCertificateServiceClient(doors.GRPC(t, apitest.Operator)).SignCertificate(t.Context(), in)
	info, retry := errorInfo(err)
	if status.Code(err) != want.grpc || info.GetReason() != want.code || (retry != nil) != want.retry {
		t.Errorf("gRPC answers %v with %v and %v; want %+v", err, info, retry, want)
	}
}

func TestStoreFailures(t *testing.T) {
	tests := map[string]struct {
		err  error
		want failure
	}{
		"the database is away":            {store.ErrUnavailable, failure{"unavailable", 503, codes.Unavailable, true}},
		"too much waits":                  {store.ErrOverloaded, failure{"unavailable", 503, codes.Unavailable, true}},
		"the outcome is unknown":          {errors.New("connection reset"), failure{"internal", 500, codes.Internal, false}},
		"the key is blocked meanwhile":    {store.ErrKeyBlocked, failure{"key_blocked", 403, codes.PermissionDenied, false}},
		"the caller is revoked meanwhile": {store.ErrCallerRevoked, failure{"revoked", 403, codes.PermissionDenied, false}},
		"the token was replayed":          {store.ErrReplayed, failure{"replayed", 401, codes.Unauthenticated, false}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			expect(t, apitest.New(t, apitest.Options{Inserter: broken{test.err}}), test.want)
		})
	}
}

func TestRequestTimeout(t *testing.T) {
	release := make(chan struct{})
	doors := apitest.New(t, apitest.Options{Inserter: hanging{release}, RequestTimeout: 50 * time.Millisecond})
	defer close(release)
	expect(t, doors, failure{"unavailable", 503, codes.Unavailable, true})
}

func TestRateLimit(t *testing.T) {
	doors := apitest.New(t, apitest.Options{IdentityRate: 0.001})
	client := apiv1.NewCertificateServiceClient(doors.GRPC(t, apitest.Operator))
	in := &apiv1.SignCertificateRequest{Csr: pemCSR(t), SpiffeId: "spiffe://example.org/web"}
	if _, err := client.SignCertificate(t.Context(), in); err != nil {
		t.Fatalf("the first request: %v", err)
	}
	expect(t, doors, failure{"rate_limited", 429, codes.ResourceExhausted, true})
}

func TestAuthenticationFailures(t *testing.T) {
	tests := map[string]struct {
		err  *auth.Error
		want failure
	}{
		"no credentials":  {&auth.Error{Reason: auth.ReasonNoCredentials}, failure{"unauthenticated", 401, codes.Unauthenticated, false}},
		"a bad signature": {&auth.Error{Reason: auth.ReasonJWTSignature}, failure{"unauthenticated", 401, codes.Unauthenticated, false}},
		"a used token":    {&auth.Error{Reason: auth.ReasonTokenUsed}, failure{"token_used", 401, codes.Unauthenticated, false}},
		"an old token":    {&auth.Error{Reason: auth.ReasonTokenExpired}, failure{"token_expired", 401, codes.Unauthenticated, false}},
		"no keys":         {&auth.Error{Reason: auth.ReasonUnavailable}, failure{"unavailable", 503, codes.Unavailable, true}},
		"too many failures": {
			&auth.Error{Reason: auth.ReasonRateLimited, RetryAfter: time.Second},
			failure{"rate_limited", 429, codes.ResourceExhausted, true},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			refuse := func(context.Context, auth.Credentials, time.Time) (policy.Caller, error) {
				return policy.Caller{}, test.err
			}
			expect(t, apitest.New(t, apitest.Options{Authenticate: refuse}), test.want)
		})
	}
}

func TestPanicIsInternal(t *testing.T) {
	var log buffer
	panics := func(context.Context, auth.Credentials, time.Time) (policy.Caller, error) { panic("secret\nof ours") }
	doors := apitest.New(t, apitest.Options{Authenticate: panics, Log: slog.New(slog.NewJSONHandler(&log, nil))})
	expect(t, doors, failure{"internal", 500, codes.Internal, false})
	if n := strings.Count(log.String(), "handler panicked"); n != 3 {
		t.Errorf("%d panics in the log, want 3:\n%s", n, log.String())
	}
}

// TestWrongBearerIsNotPassedOver shows what is no bearer token beside a good certificate.
func TestWrongBearerIsNotPassedOver(t *testing.T) {
	doors := apitest.New(t, apitest.Options{})
	for _, value := range []string{"Basic dTpw", "Bearer ", "Bearer", "Bearer x", "pjt_x", ""} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, doors.URL+"/v1/entries", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header["Authorization"] = []string{value}
		response, err := doors.HTTP(t, apitest.Admin).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusUnauthorized || response.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("REST answers %q with %s", value, response.Status)
		}
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", value)
		_, err = apiv1.NewEntryServiceClient(doors.GRPC(t, apitest.Admin)).ListEntries(ctx, &apiv1.ListEntriesRequest{})
		if status.Code(err) != codes.Unauthenticated {
			t.Errorf("gRPC answers %q with %v", value, err)
		}
	}
}

// told is an observer that remembers labels.
type told struct {
	mu     sync.Mutex
	labels []string
}

func (o *told) Request(op server.Operation, profile, code string, _ time.Duration, _ string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.labels = append(o.labels, string(op), profile, code)
}

// TestHostileTextInLogsAndLabels sends line breaks, terminal codes and very long texts
// wherever a caller can write something.
func TestHostileTextInLogsAndLabels(t *testing.T) {
	const evil = "a\n{\"forged\":1}\x1b[31m"
	long := strings.Repeat("x", 10<<10)
	for name, handler := range map[string]func(*buffer) slog.Handler{
		"JSON": func(b *buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
		"text": func(b *buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			var log buffer
			observer := &told{}
			doors := apitest.New(t, apitest.Options{Log: slog.New(handler(&log)), Observer: observer})
			requests := 0
			for _, text := range []string{evil, long} {
				csr := pemCSR(t)
				for _, in := range []*apiv1.SignCertificateRequest{
					{Csr: csr, SpiffeId: text}, {Csr: csr, Profile: text, SpiffeId: "spiffe://example.org/web"},
					{Csr: text}, {Csr: csr, SpiffeId: "spiffe://example.org/web", DnsNames: []string{text}},
				} {
					r := signing(in)
					r.body = toJSON(t, in)
					_, _, restCode := overREST(t, doors, doors.HTTP(t, apitest.Operator), r)
					_, rpcCode := overGRPC(t, doors.GRPC(t, apitest.Operator), r)
					if restCode == "ok" || rpcCode == "ok" {
						t.Errorf("%.40q was accepted", text)
					}
					requests += 2
				}
			}
			lines := log.await(requests)
			if len(lines) != requests {
				t.Errorf("%d lines for %d requests:\n%s", len(lines), requests, log.String())
			}
			for _, line := range lines {
				if strings.ContainsRune(line, '\x1b') || len(line) > 8<<10 {
					t.Errorf("a line of %d octets: %.200q", len(line), line)
				}
			}
			observer.mu.Lock()
			defer observer.mu.Unlock()
			for _, label := range observer.labels {
				if strings.Contains(label, "forged") || len(label) > 40 {
					t.Errorf("a label %.80q", label)
				}
			}
		})
	}
}

// buffer is a log that several goroutines write.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// await returns the lines once there are n, or what there is after a while: a long answer
// leaves before its line is written.
func (b *buffer) await(n int) []string {
	deadline := time.Now().Add(10 * time.Second)
	for {
		lines := strings.Split(strings.TrimSpace(b.String()), "\n")
		if len(lines) >= n || time.Now().After(deadline) {
			return lines
		}
		time.Sleep(time.Millisecond)
	}
}

// slow is an inserter whose commits take longer than a body may.
type slow struct{ took time.Duration }

func (s slow) InsertBatch(_ context.Context, batch []*store.Issuance, _ time.Time) ([]error, error) {
	<-time.After(s.took)
	return make([]error, len(batch)), nil
}

// TestSlowCommitOutlivesTheBodyTimeout: the limit on a body must not become one on the answer.
func TestSlowCommitOutlivesTheBodyTimeout(t *testing.T) {
	doors := apitest.New(t, apitest.Options{Inserter: slow{200 * time.Millisecond}, BodyTimeout: 100 * time.Millisecond})
	in := &apiv1.SignCertificateRequest{Csr: pemCSR(t), SpiffeId: "spiffe://example.org/web"}
	for version, client := range map[int]*http.Client{1: doors.HTTP(t, apitest.Operator), 2: overHTTP2(t, doors, apitest.Operator)} {
		r := request{httpMethod: http.MethodPost, path: "/v1/certificates", body: toJSON(t, in)}
		for range 2 { // the second on the connection of the first
			if status, body, _ := overREST(t, doors, client, r); status != http.StatusCreated {
				t.Errorf("HTTP/%d is answered with %d: %s", version, status, body)
			}
		}
	}
}
