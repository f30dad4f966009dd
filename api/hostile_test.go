package api_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "github.com/pando-ca/pando/api/v1"

	"github.com/pando-ca/pando/api/apitest"
	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
)

// tellsBoth sends a request that must fail through both doors and checks code and rule.
func tellsBoth(t *testing.T, doors *apitest.Doors, role apitest.Role, r request, code, rule string) {
	t.Helper()
	if r.httpMethod == http.MethodPost {
		r.body = toJSON(t, r.message)
	}
	_, body, got := overREST(t, doors, doors.HTTP(t, role), r)
	if got != code || rule != "" && !bytes.Contains(body, []byte(`"rule":"`+rule+`"`)) {
		t.Errorf("REST answers %s, want %s %s", body, code, rule)
	}
	err := doors.GRPC(t, role).Invoke(t.Context(), r.rpcMethod, r.message, proto.Clone(r.answer))
	info, _ := errorInfo(err)
	if info.GetReason() != code || rule != "" && info.GetMetadata()["rule"] != rule {
		t.Errorf("gRPC answers %v, want %s %s", err, code, rule)
	}
}

func signing(in *apiv1.SignCertificateRequest) request {
	return post("/v1/certificates", apiv1.CertificateService_SignCertificate_FullMethodName, in, &apiv1.SignCertificateResponse{})
}

func pemCSR(t testing.TB, names ...string) string {
	t.Helper()
	_, der := catest.CSR(t, ca.ECDSAP256, names...)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// TestHostileCSRs sends what is not one clean CSR through both doors.
func TestHostileCSRs(t *testing.T) {
	good := pemCSR(t)
	der, _ := pem.Decode([]byte(good))
	tests := map[string]*apiv1.SignCertificateRequest{
		"junk before the block":    {Csr: "junk\n" + good},
		"junk after the block":     {Csr: good + "junk"},
		"two blocks":               {Csr: good + good},
		"headers in the block":     {Csr: strings.Replace(good, "\n", "\nProc-Type: 4,ENCRYPTED\n\n", 1)},
		"another label":            {Csr: strings.ReplaceAll(good, "CERTIFICATE REQUEST", "CERTIFICATE")},
		"DER with trailing octets": {CsrDer: append(bytes.Clone(der.Bytes), 0)},
		"DER that breaks off":      {CsrDer: der.Bytes[:len(der.Bytes)-1]},
		"indefinite length":        {CsrDer: append([]byte{0x30, 0x80}, der.Bytes[4:]...)},
		"nested 10 000 deep":       {CsrDer: bytes.Repeat([]byte{0x30, 0x80}, 10_000)},
		"NUL":                      {Csr: "\x00"},
	}
	doors := apitest.New(t, apitest.Options{})
	for name, in := range tests {
		t.Run(name, func(t *testing.T) {
			in.SpiffeId = "spiffe://example.org/web"
			tellsBoth(t, doors, apitest.Operator, signing(in), "invalid_csr", "")
		})
	}
}

// TestHostileIDs sends what is not a SPIFFE ID wherever the API takes one.
func TestHostileIDs(t *testing.T) {
	ids := []string{
		"spiffe://example.org/", "spiffe://[::1]/a", "spiffe://example.org:80/a", "spiffe://u@example.org/a",
		"spiffe://Example.org/a", "SPIFFE://example.org/a", "spiffe://example.org/a?x=1", "spiffe://example.org/a#f",
		"spiffe://example.org/a%20b", "spiffe://example.org/a//b", "spiffe://example.org/a/../b", "spiffe://example.org/.",
		"spiffe://example.org/a/", "spiffe://example.org/é", "spiffe://example.org/a~b", "spiffe://example.org/a:b",
		"spiffe:///a", "spiffe://", "spiffe:/x", "https://example.org/a", "spiffe://example.org/a/./b",
		"spiffe://example.org/a b", "spiffe://example.org/a\n", `spiffe://example.org\a`, " spiffe://example.org/a",
		"spiffe://example.org/*", "spiffe://example.org/" + strings.Repeat("a", 2048), "spiffe://" + strings.Repeat("a", 300) + "/a",
	}
	doors := apitest.New(t, apitest.Options{})
	csr := pemCSR(t)
	for _, id := range ids {
		t.Run(fmt.Sprintf("%.40q", id), func(t *testing.T) {
			tellsBoth(t, doors, apitest.Admin, signing(&apiv1.SignCertificateRequest{Csr: csr, SpiffeId: id}), "invalid_request", "")
			tellsBoth(t, doors, apitest.Admin, post("/v1/entries", apiv1.EntryService_CreateEntry_FullMethodName,
				&apiv1.CreateEntryRequest{SpiffeId: id, Method: "join_token"}, &apiv1.Entry{}), "invalid_request", "")
			err := doors.GRPC(t, apitest.Admin).Invoke(t.Context(), apiv1.CertificateService_ListCertificates_FullMethodName,
				&apiv1.ListCertificatesRequest{SpiffeId: id}, &apiv1.ListCertificatesResponse{})
			if status.Code(err) != codes.InvalidArgument {
				t.Errorf("a listing by this ID answers %v", err)
			}
		})
	}
}

// TestHostileDurations asks for validity periods that no profile has.
func TestHostileDurations(t *testing.T) {
	tests := map[string]struct {
		duration   *durationpb.Duration
		code, rule string
	}{
		"none at all":           {durationpb.New(0), "invalid_request", ""},
		"negative":              {durationpb.New(-time.Hour), "invalid_request", ""},
		"under a second":        {durationpb.New(time.Millisecond), "policy_denied", "duration"},
		"past the profile":      {durationpb.New(24*time.Hour + time.Second), "policy_denied", "duration"},
		"beyond the year 10000": {&durationpb.Duration{Seconds: 9_000_000_000}, "policy_denied", "duration"},
	}
	doors := apitest.New(t, apitest.Options{})
	csr := pemCSR(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			in := &apiv1.SignCertificateRequest{Csr: csr, SpiffeId: "spiffe://example.org/web", Duration: test.duration}
			tellsBoth(t, doors, apitest.Operator, signing(in), test.code, test.rule)
		})
	}
}

// TestTooLarge sends requests that exceed a limit, up to such as never end.
func TestTooLarge(t *testing.T) {
	doors := apitest.New(t, apitest.Options{})
	t.Run("a CSR over 64 KiB", func(t *testing.T) {
		in := &apiv1.SignCertificateRequest{CsrDer: make([]byte, 64<<10+1), SpiffeId: "spiffe://example.org/web"}
		tellsBoth(t, doors, apitest.Operator, signing(in), "too_large", "")
	})
	t.Run("a body over the limit", func(t *testing.T) {
		r := request{httpMethod: http.MethodPost, path: "/v1/certificates", body: bytes.Repeat([]byte("x"), 128<<10+1)}
		if status, body, code := overREST(t, doors, doors.HTTP(t, apitest.Operator), r); status != http.StatusRequestEntityTooLarge || code != "too_large" {
			t.Errorf("answered %d: %s", status, body)
		}
	})
	t.Run("chunks without end", func(t *testing.T) {
		body := &endless{}
		response, err := doors.HTTP(t, apitest.Operator).Post(doors.URL+"/v1/certificates", "application/pkcs10", body)
		if err != nil {
			t.Fatal(err) // the answer must arrive although the body has not ended
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusRequestEntityTooLarge || body.read.Load() > 16<<20 {
			t.Errorf("answered %s after %d octets", response.Status, body.read.Load())
		}
	})
	t.Run("a gRPC message over the limit", func(t *testing.T) {
		in := &apiv1.SignCertificateRequest{CsrDer: make([]byte, 4<<20+1)}
		err := doors.GRPC(t, apitest.Operator).Invoke(t.Context(), apiv1.CertificateService_SignCertificate_FullMethodName, in, &apiv1.SignCertificateResponse{})
		if status.Code(err) != codes.ResourceExhausted {
			t.Errorf("answered %v", err)
		}
	})
	t.Run("a batch of 501", func(t *testing.T) {
		in := &apiv1.SignCertificatesRequest{Requests: make([]*apiv1.SignCertificateRequest, 501)}
		for i := range in.Requests {
			in.Requests[i] = &apiv1.SignCertificateRequest{Csr: "x"}
		}
		r := post("/v1/certificates/batch", apiv1.CertificateService_SignCertificates_FullMethodName, in, &apiv1.SignCertificatesResponse{})
		tellsBoth(t, doors, apitest.Operator, r, "invalid_request", "")
	})
}

// endless is a body that never ends.
type endless struct{ read atomic.Int64 } // the transport reads on while the answer arrives

func (e *endless) Read(p []byte) (int, error) {
	e.read.Add(int64(len(p)))
	return len(p), nil
}

// TestSlowBody sends a body that comes too slowly: the door does not wait for it.
func TestSlowBody(t *testing.T) {
	doors := apitest.New(t, apitest.Options{BodyTimeout: 50 * time.Millisecond})
	for version, client := range map[int]*http.Client{1: doors.HTTP(t, apitest.Operator), 2: overHTTP2(t, doors, apitest.Operator)} {
		t.Run(fmt.Sprintf("HTTP/%d", version), func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, doors.URL+"/v1/certificates", stalled{ctx})
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", "application/json")
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			cancel() // Close would wait for the body
			defer response.Body.Close()
			if response.StatusCode != http.StatusRequestTimeout || response.ProtoMajor != version {
				t.Errorf("answered %s %s, want 408", response.Proto, response.Status)
			}
		})
	}
}

// overHTTP2 is doors.HTTP for a client that prefers HTTP/2, as curl does.
func overHTTP2(t *testing.T, doors *apitest.Doors, role apitest.Role) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: doors.TLS(role), ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

func TestHeadersOverTheLimit(t *testing.T) {
	doors := apitest.New(t, apitest.Options{})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, doors.URL+"/v1/bundle", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Filler", strings.Repeat("x", 64<<10))
	response, err := doors.HTTP(t, apitest.Anonymous).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("answered %s, want 431", response.Status)
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-filler", strings.Repeat("x", 64<<10))
	_, err = apiv1.NewTrustServiceClient(doors.GRPC(t, apitest.Anonymous)).GetBundle(ctx, &apiv1.GetBundleRequest{})
	if err == nil {
		t.Error("gRPC accepts 64 KiB of metadata")
	}
}

// stalled is a body that never comes.
type stalled struct{ ctx context.Context }

func (s stalled) Read([]byte) (int, error) {
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}

// FuzzSignRequest looks for a JSON that the REST door's message and protojson disagree about
// to the point of a panic, or that gets a certificate without a CSR.
func FuzzSignRequest(f *testing.F) {
	f.Add([]byte(`{"csr":"x","duration":"1h"}`))
	f.Add([]byte(`{"csr_der":"eA==","dns_names":["a"]}`))
	f.Add([]byte(`[{"csr":{"csr":[]}}]`))
	f.Add([]byte(`{"csr":"\ud800","csr":null}`))
	doors := apitest.New(f, apitest.Options{})
	client := doors.HTTP(f, apitest.Operator)
	f.Fuzz(func(t *testing.T, data []byte) {
		response, err := client.Post(doors.URL+"/v1/certificates", "application/json", bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.StatusCode >= http.StatusInternalServerError {
			t.Errorf("%q is answered with %s", data, response.Status)
		}
		in := &apiv1.SignCertificateRequest{}
		if err := protojson.Unmarshal(data, in); err != nil && response.StatusCode == http.StatusCreated {
			t.Errorf("%q gets a certificate and is none of our messages: %v", data, err)
		}
	})
}
