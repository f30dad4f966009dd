package api_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	apiv1 "github.com/pando-ca/pando/api/v1"

	"github.com/pando-ca/pando/api/apitest"
	"github.com/pando-ca/pando/store"
)

// newTracer returns a tracer, and where its spans are once they have ended.
func newTracer(sampler sdktrace.Sampler) (trace.Tracer, *tracetest.SpanRecorder) {
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder), sdktrace.WithSampler(sampler))
	return provider.Tracer("test"), recorder
}

// requestSpans waits until n requests have ended, and returns what was recorded since reset: the
// spans of requests end after the answer has left.
func requestSpans(t *testing.T, recorder *tracetest.SpanRecorder, n int) []sdktrace.ReadOnlySpan {
	t.Helper()
	var spans []sdktrace.ReadOnlySpan
	eventually(t, func() bool {
		spans = recorder.Ended()
		roots := 0
		for _, s := range spans {
			if !s.Parent().IsValid() {
				roots++
			}
		}
		return roots >= n
	})
	return spans
}

// unsteady are the attributes whose values no test can know.
var unsteady = []string{"pando.request_id", "pando.serial", "pando.issuer"}

// tree writes spans as lines, each below its parent, in the order in which they began.
func tree(spans []sdktrace.ReadOnlySpan) []string {
	slices.SortStableFunc(spans, func(a, b sdktrace.ReadOnlySpan) int { return a.StartTime().Compare(b.StartTime()) })
	var lines []string
	var below func(parent trace.SpanID, indent string)
	below = func(parent trace.SpanID, indent string) {
		for _, s := range spans {
			if s.Parent().SpanID() == parent {
				lines = append(lines, indent+line(s))
				below(s.SpanContext().SpanID(), indent+"  ")
			}
		}
	}
	below(trace.SpanID{}, "")
	return lines
}

func line(s sdktrace.ReadOnlySpan) string {
	words := []string{}
	for _, a := range s.Attributes() {
		value := a.Value.String()
		if slices.Contains(unsteady, string(a.Key)) {
			value = "?"
		}
		words = append(words, strings.TrimPrefix(string(a.Key), "pando.")+"="+value)
	}
	slices.Sort(words)
	if s.Status().Code == codes.Error {
		words = append(words, "ERROR")
	}
	return strings.Join(append([]string{s.Name()}, words...), " ")
}

// tracedCase is one request, and its trace. DOOR stands for the name of the door.
type tracedCase struct {
	role     apitest.Role
	request  request
	inserter store.Inserter
	want     []string
}

const (
	asOperator = "caller=spiffe://example.org/pando/admin/operator"
	asWorkload = "caller=spiffe://example.org/workload"
)

func tracedCases(t *testing.T) map[string]tracedCase {
	signing := func(in *apiv1.SignCertificateRequest) request {
		r := signing(in)
		r.body = toJSON(t, in)
		return r
	}
	csr := pemCSR(t)
	both := &apiv1.SignCertificatesRequest{Requests: []*apiv1.SignCertificateRequest{
		{Csr: csr, SpiffeId: web}, {Csr: csr, SpiffeId: web}, {Csr: "junk"},
	}}
	batch := post("/v1/certificates/batch", apiv1.CertificateService_SignCertificates_FullMethodName, both, &apiv1.SignCertificatesResponse{})
	batch.body = toJSON(t, both)
	again := &apiv1.RenewCertificateRequest{Csr: csr}
	renewal := post("/v1/certificates/renew", apiv1.CertificateService_RenewCertificate_FullMethodName, again, &apiv1.SignCertificateResponse{})
	renewal.body = toJSON(t, again)
	return map[string]tracedCase{
		"an issuance goes through all steps": {
			role: apitest.Operator, request: signing(&apiv1.SignCertificateRequest{Csr: csr, SpiffeId: web}),
			want: []string{
				"certificates.sign " + asOperator + " code=ok door=DOOR method=mtls profile=workload request_id=? serial=?",
				"  auth method=mtls", "  policy profile=workload", "  sign issuer=?", "  store", "    commit requests=1",
			},
		},
		"so does a renewal": {
			role: apitest.Workload, request: renewal,
			want: []string{
				"certificates.renew " + asWorkload + " code=ok door=DOOR method=mtls profile=workload request_id=? serial=?",
				"  auth method=mtls", "  policy profile=workload", "  sign issuer=?", "  store", "    commit requests=1",
			},
		},
		"a batch has one step of each": {
			role: apitest.Operator, request: batch,
			want: []string{
				"certificates.sign " + asOperator + " code=ok door=DOOR method=mtls request_id=?",
				"  auth method=mtls", "  sign issuer=? requests=3", "  store requests=2", "    commit requests=2",
			},
		},
		"who is not known comes no further than that, and it is no error of ours": {
			role: apitest.Anonymous, request: signing(&apiv1.SignCertificateRequest{Csr: csr}),
			want: []string{
				"certificates.sign code=unauthenticated door=DOOR request_id=?", "  auth code=unauthenticated",
			},
		},
		"a denial names its rule": {
			role: apitest.Workload, request: signing(&apiv1.SignCertificateRequest{Csr: csr, SpiffeId: web}),
			want: []string{
				"certificates.sign " + asWorkload + " code=policy_denied door=DOOR method=mtls request_id=? rule=identity",
				"  auth method=mtls", "  policy code=policy_denied rule=identity",
			},
		},
		"a store that is away is an error, without its text": {
			role: apitest.Operator, request: signing(&apiv1.SignCertificateRequest{Csr: csr, SpiffeId: web}), inserter: broken{store.ErrUnavailable},
			want: []string{
				"certificates.sign " + asOperator + " code=unavailable door=DOOR method=mtls request_id=? ERROR",
				"  auth method=mtls", "  policy profile=workload", "  sign issuer=?", "  store code=unavailable ERROR", "    commit requests=1 ERROR",
			},
		},
		"a revocation is a write": {
			role: apitest.Operator,
			request: request{
				httpMethod: http.MethodPost, path: "/v1/revocations", body: []byte(`{"spiffe_id":"` + web + `"}`),
				rpcMethod: apiv1.RevocationService_CreateRevocation_FullMethodName,
				message:   &apiv1.CreateRevocationRequest{SpiffeId: web}, answer: &apiv1.CreateRevocationResponse{},
			},
			want: []string{
				"revocations.create " + asOperator + " code=ok door=DOOR method=mtls request_id=?", "  auth method=mtls", "  store",
			},
		},
	}
}

// TestTraces compares the spans of requests through both doors.
func TestTraces(t *testing.T) {
	for name, c := range tracedCases(t) {
		t.Run(name, func(t *testing.T) {
			tracer, recorder := newTracer(sdktrace.AlwaysSample())
			doors := apitest.New(t, apitest.Options{Tracer: tracer, Inserter: c.inserter})
			for door, ask := range map[string]func(){
				"rest": func() { overREST(t, doors, doors.HTTP(t, c.role), c.request) },
				"grpc": func() { overGRPC(t, doors.GRPC(t, c.role), c.request) },
			} {
				recorder.Reset()
				ask()
				got := tree(requestSpans(t, recorder, 1))
				want := strings.Split(strings.ReplaceAll(strings.Join(c.want, "\n"), "DOOR", door), "\n")
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", door, diff)
				}
			}
		})
	}
}

// TestTracePage holds docs/tracing.md against the spans that there are.
func TestTracePage(t *testing.T) {
	page, err := os.ReadFile("../docs/tracing.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := make(map[string]bool)
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z._]+)` \\|").FindAllSubmatch(page, -1) {
		listed[string(row[1])] = true
	}
	there := make(map[string]bool)
	for _, c := range tracedCases(t) {
		for _, text := range c.want {
			words := strings.Fields(strings.TrimSuffix(text, " ERROR"))
			if strings.HasPrefix(text, " ") {
				there[words[0]] = true
			}
			for _, word := range words[1:] {
				name, _, _ := strings.Cut(word, "=")
				there["pando."+name] = true
			}
		}
	}
	if diff := cmp.Diff(listed, there); diff != "" {
		t.Errorf("docs/tracing.md (-) and the spans (+) differ:\n%s", diff)
	}
}

// TestPollsAreNotTraced: what waits for half a minute, and asks all day, would bury the rest.
func TestPollsAreNotTraced(t *testing.T) {
	tracer, recorder := newTracer(sdktrace.AlwaysSample())
	doors := apitest.New(t, apitest.Options{Tracer: tracer})
	overREST(t, doors, doors.HTTP(t, apitest.Workload), trustRequest(0))
	overGRPC(t, doors.GRPC(t, apitest.Workload), trustRequest(0))
	stream, err := apiv1.NewTrustServiceClient(doors.GRPC(t, apitest.Workload)).WatchTrust(t.Context(), &apiv1.WatchTrustRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	overREST(t, doors, doors.HTTP(t, apitest.Workload), request{httpMethod: http.MethodPost, path: "/v1/mtls/report", body: []byte("{}")})
	overREST(t, doors, doors.HTTP(t, apitest.Anonymous), request{httpMethod: http.MethodGet, path: "/v1/bundle"})
	overREST(t, doors, doors.HTTP(t, apitest.Anonymous), request{httpMethod: http.MethodGet, path: "/v1/nothing"})
	if started := recorder.Started(); len(started) != 0 {
		t.Errorf("%d spans, such as %q", len(started), started[0].Name())
	}
}

// TestLogNamesTheTrace: whoever has a line finds the trace, and there is no name of one that
// nobody has kept.
func TestLogNamesTheTrace(t *testing.T) {
	for name, sampler := range map[string]sdktrace.Sampler{"sampled": sdktrace.AlwaysSample(), "not sampled": sdktrace.NeverSample()} {
		t.Run(name, func(t *testing.T) {
			var log buffer
			tracer, recorder := newTracer(sampler)
			doors := apitest.New(t, apitest.Options{Tracer: tracer, Log: slog.New(slog.NewJSONHandler(&log, nil))})
			signed(t, doors, web)
			var entry struct {
				TraceID string `json:"trace_id"`
			}
			text := log.await(1)[0]
			if err := json.Unmarshal([]byte(text), &entry); err != nil {
				t.Fatal(err)
			}
			want := ""
			if name == "sampled" {
				want = requestSpans(t, recorder, 1)[0].SpanContext().TraceID().String()
			}
			if entry.TraceID != want {
				t.Errorf("trace_id is %q, want %q, in %s", entry.TraceID, want, text)
			}
		})
	}
}

// TestSpansHoldNoSecret looks for what a caller sends in everything that is recorded of it.
func TestSpansHoldNoSecret(t *testing.T) {
	tracer, recorder := newTracer(sdktrace.AlwaysSample())
	doors := apitest.New(t, apitest.Options{Tracer: tracer})
	in := &apiv1.SignCertificateRequest{Csr: pemCSR(t), SpiffeId: "spiffe://example.org/asked-for", Profile: "made-up"}
	outgoing, err := http.NewRequestWithContext(t.Context(), http.MethodPost, doors.URL+"/v1/certificates", strings.NewReader(string(toJSON(t, in))))
	if err != nil {
		t.Fatal(err)
	}
	outgoing.Header = http.Header{
		"Content-Type": {"application/json"}, "Authorization": {"Bearer pjt_secret-of-a-token"},
		"User-Agent": {"made-up"}, "X-Forwarded-For": {"made-up"}, "Tracestate": {"vendor=made-up"},
		"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, "Baggage": {"a=made-up"},
	}
	response, err := doors.HTTP(t, apitest.Anonymous).Do(outgoing)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	text, err := json.Marshal(tracetest.SpanStubsFromReadOnlySpans(requestSpans(t, recorder, 1)))
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"secret-of-a-token", "made-up", "asked-for", strings.Split(in.GetCsr(), "\n")[1]} {
		if strings.Contains(string(text), secret) {
			t.Errorf("the spans hold %q: %s", secret, text)
		}
	}
	if !strings.Contains(string(text), "0af7651916cd43dd8448eb211c80319c") {
		t.Errorf("the spans have no link to the caller's: %s", text)
	}
}

// TestOneRevocationIsTraced, which takes a certificate first.
func TestOneRevocationIsTraced(t *testing.T) {
	tracer, recorder := newTracer(sdktrace.AlwaysSample())
	doors := apitest.New(t, apitest.Options{Tracer: tracer})
	serial := signed(t, doors, web).GetSerial()
	requestSpans(t, recorder, 1)
	recorder.Reset()
	overREST(t, doors, doors.HTTP(t, apitest.Operator), revokeRequest(serial, "superseded"))
	want := []string{"certificates.revoke " + asOperator + " code=ok door=rest method=mtls request_id=? serial=?", "  auth method=mtls", "  store"}
	if diff := cmp.Diff(want, tree(requestSpans(t, recorder, 1))); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
}
