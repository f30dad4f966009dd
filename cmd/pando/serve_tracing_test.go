package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

func TestTraceProtocol(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	tests := map[string]struct {
		env  map[string]string
		want string // empty: nothing is traced
		err  string
	}{
		"nothing is set":                    {},
		"what asks for no traces":           {env: map[string]string{"OTEL_SERVICE_NAME": "ca", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_TRACES_SAMPLER": "always_on"}},
		"an endpoint":                       {env: map[string]string{endpoint: "http://c:4318"}, want: protocolHTTP},
		"an endpoint for traces":            {env: map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://c/v1/traces"}, want: protocolHTTP},
		"an exporter without an endpoint":   {env: map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, want: protocolHTTP},
		"gRPC":                              {env: map[string]string{endpoint: "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, want: protocolGRPC},
		"a protocol for traces":             {env: map[string]string{endpoint: "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}, want: protocolHTTP},
		"no exporter, although an endpoint": {env: map[string]string{endpoint: "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}},
		"disabled":                          {env: map[string]string{endpoint: "http://c:4318", "OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "TRUE"}},
		"an exporter that there is not":     {env: map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, err: "OTEL_TRACES_EXPORTER"},
		"a protocol that there is not":      {env: map[string]string{endpoint: "http://c", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, err: "OTEL_EXPORTER_OTLP_PROTOCOL"},
		"an endpoint without a scheme":      {env: map[string]string{endpoint: "collector:4317"}, err: endpoint},
		"an endpoint of another scheme":     {env: map[string]string{endpoint: "ftp://c"}, err: endpoint},
		"an endpoint with a password":       {env: map[string]string{endpoint: "http://u:secret@c:port"}, err: endpoint},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := traceProtocol(func(name string) string { return test.env[name] })
			if got != test.want || (err != nil) != (test.err != "") {
				t.Fatalf("%q, %v, want %q and an error about %q", got, err, test.want, test.err)
			}
			if err != nil && (!strings.HasPrefix(err.Error(), test.err+": ") || strings.Contains(err.Error(), "secret")) {
				t.Errorf("the error is %q", err)
			}
		})
	}
}

// unsetTracing keeps the variables of whoever runs the tests out of them.
func unsetTracing(t *testing.T) {
	t.Helper()
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "OTEL_") {
			t.Setenv(name, "")
		}
	}
}

// Without the variables there is nothing that could connect to anything.
func TestTracingIsOffByDefault(t *testing.T) {
	unsetTracing(t)
	opened, err := openTracing(t.Context(), "sealed", slog.New(slog.DiscardHandler))
	if opened != nil || err != nil {
		t.Errorf("opened %v, %v, want nothing", opened, err)
	}
	if opened.tracer() != nil {
		t.Error("there is a tracer")
	}
	opened.close()
}

func TestTracingRefusesWhatTheSDKWouldReplace(t *testing.T) {
	for name, value := range map[string]string{
		"OTEL_TRACES_SAMPLER": "sometimes", "OTEL_TRACES_SAMPLER_ARG": "2", "OTEL_RESOURCE_ATTRIBUTES": "a=b,c",
		"OTEL_EXPORTER_OTLP_HEADERS": "Bearer-secret", "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "authorization=secret%zz",
		"OTEL_EXPORTER_OTLP_CERTIFICATE": "/nothing-here", "OTEL_EXPORTER_OTLP_TIMEOUT": "soon",
	} {
		t.Run(name, func(t *testing.T) {
			unsetTracing(t)
			t.Setenv("OTEL_TRACES_EXPORTER", "otlp")
			t.Setenv("OTEL_TRACES_SAMPLER", "traceidratio")
			t.Setenv(name, value)
			opened, err := openTracing(t.Context(), "sealed", slog.New(slog.DiscardHandler))
			if err == nil || !strings.HasPrefix(err.Error(), "OTEL_") || strings.Contains(err.Error(), "secret") {
				t.Errorf("opened %v, %v, want a refusal", opened, err)
			}
		})
	}
}

// otlpReceiver is the least that a collector is: it takes traces in both protocols of OTLP.
type otlpReceiver struct {
	collectorpb.UnimplementedTraceServiceServer

	mu   sync.Mutex
	got  []*tracepb.ResourceSpans
	more chan struct{} // has something when got has grown
}

func newReceiver() *otlpReceiver { return &otlpReceiver{more: make(chan struct{}, 1)} }

// Export implements collectorpb.TraceServiceServer.
func (r *otlpReceiver) Export(_ context.Context, in *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
	r.mu.Lock()
	r.got = append(r.got, in.GetResourceSpans()...)
	r.mu.Unlock()
	select {
	case r.more <- struct{}{}:
	default:
	}
	return &collectorpb.ExportTraceServiceResponse{}, nil
}

// ServeHTTP implements http.Handler.
func (r *otlpReceiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	in := new(collectorpb.ExportTraceServiceRequest)
	if err != nil || req.URL.Path != "/v1/traces" || proto.Unmarshal(body, in) != nil {
		http.Error(w, "not OTLP", http.StatusBadRequest)
		return
	}
	_, _ = r.Export(req.Context(), in)
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// spans is the names of the spans that have come, and the attributes of who sends them.
func (r *otlpReceiver) spans() (names []string, resource map[string]string, ids map[string]bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	resource, ids = make(map[string]string), make(map[string]bool)
	for _, rs := range r.got {
		for _, a := range rs.GetResource().GetAttributes() {
			resource[a.GetKey()] = a.GetValue().GetStringValue()
		}
		for _, ss := range rs.GetScopeSpans() {
			for _, s := range ss.GetSpans() {
				names = append(names, s.GetName())
				ids[string(s.GetTraceId())] = true
			}
		}
	}
	slices.Sort(names)
	return names, resource, ids
}

// await waits until n spans have come.
func (r *otlpReceiver) await(t *testing.T, n int) (names []string, resource map[string]string, traces int) {
	t.Helper()
	deadline := time.After(startLimit)
	for {
		names, resource, ids := r.spans()
		if len(names) >= n {
			return names, resource, len(ids)
		}
		select {
		case <-r.more:
		case <-deadline:
			t.Fatalf("only %v have come", names)
		}
	}
}

// tracedServer starts a server with these variables of OpenTelemetry and no others.
func tracedServer(t *testing.T, env ...string) (*deployment, *process) {
	t.Helper()
	unsetTracing(t)
	d := newDeployment(t, "")
	d.env = append(d.env, env...)
	return d, d.serve(t)
}

// issuanceSpans is one issuance.
var issuanceSpans = []string{"auth", "certificates.sign", "commit", "policy", "sign", "store"}

// The program sends one issuance to a collector; a stop sends what has not been sent.
func TestAnIssuanceIsTraced(t *testing.T) {
	receiver := newReceiver()
	collector := httptest.NewServer(receiver)
	defer collector.Close()
	d, p := tracedServer(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL, "OTEL_BSP_SCHEDULE_DELAY=3600000",
		"OTEL_SERVICE_NAME=issuing", "OTEL_RESOURCE_ATTRIBUTES=zone=north")
	if _, err := d.client(t, true).sign(t.Context()); err != nil {
		t.Fatal(err)
	}
	if names, _, _ := receiver.spans(); len(names) != 0 {
		t.Errorf("%v have come before their time", names)
	}
	if code := p.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	names, resource, traces := receiver.await(t, len(issuanceSpans))
	if diff := cmp.Diff(issuanceSpans, names); diff != "" || traces != 1 {
		t.Errorf("%d traces, spans (-want +got):\n%s", traces, diff)
	}
	for key, want := range map[string]string{
		"service.name": "issuing", "zone": "north", "service.version": readVersion().Version, "pando.keys.backend": "sealed",
	} {
		if resource[key] != want {
			t.Errorf("%s is %q, want %q", key, resource[key], want)
		}
	}
	if line := p.logLine("request"); line == nil || line["trace_id"] == nil {
		t.Errorf("the line of the request is %v, without a trace_id", line)
	}
}

// The same over gRPC, from within.
func TestSpansAreSentOverGRPC(t *testing.T) {
	unsetTracing(t)
	receiver, s := newReceiver(), grpc.NewServer()
	collectorpb.RegisterTraceServiceServer(s, receiver)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.Serve(listener) })
	defer serving.Wait()
	defer s.Stop()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+listener.Addr().String())
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	opened, err := openTracing(t.Context(), "sealed", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	_, span := opened.tracer().Start(t.Context(), "one")
	span.End()
	opened.close()
	if names, resource, _ := receiver.await(t, 1); !slices.Equal(names, []string{"one"}) || resource["service.name"] != "pando" {
		t.Errorf("%v of %q have come", names, resource["service.name"])
	}
}

// Switched off, nobody is connected to, also with an endpoint.
func TestDisabledTracingConnectsToNobody(t *testing.T) {
	var connections atomic.Int32
	collector := httptest.NewUnstartedServer(newReceiver())
	collector.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	collector.Start()
	defer collector.Close()
	d, p := tracedServer(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL, "OTEL_TRACES_EXPORTER=none", "OTEL_BSP_SCHEDULE_DELAY=1")
	if _, err := d.client(t, true).sign(t.Context()); err != nil {
		t.Fatal(err)
	}
	if code := p.end(t, syscall.SIGTERM); code != exitOK || connections.Load() != 0 {
		t.Errorf("exit code %d, %d connections", code, connections.Load())
	}
	if line := p.logLine("request"); line == nil || line["trace_id"] != nil {
		t.Errorf("the line of the request is %v, with a trace_id", line)
	}
}

// A collector that is away fails no request and no stop, and fills no log.
func TestACollectorThatIsAway(t *testing.T) {
	away := freeAddresses(t, 1)[0]
	d, p := tracedServer(t, "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+away, "OTEL_BSP_SCHEDULE_DELAY=1", "OTEL_BSP_MAX_QUEUE_SIZE=4")
	client := d.client(t, true)
	for range 50 {
		if _, err := client.sign(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if code := p.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if n := strings.Count(p.log.String(), "traces cannot be sent"); n != 1 {
		t.Errorf("the log says %d times that traces cannot be sent, want once", n)
	}
}

func TestServeRefusesTracesThatItCannotSend(t *testing.T) {
	unsetTracing(t)
	d := newDeployment(t, "")
	cmd := exec.Command("pando", "serve", "--data", d.data)
	cmd.Env = append(append(os.Environ(), d.env...), "OTEL_TRACES_EXPORTER=jaeger")
	out, err := cmd.CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte(`OTEL_TRACES_EXPORTER: "jaeger"`)) {
		t.Errorf("%v: %s", err, out)
	}
}

// fakeExporter does what it is told.
type fakeExporter struct {
	export func(context.Context) error
	calls  int
}

func (f *fakeExporter) ExportSpans(ctx context.Context, _ []sdktrace.ReadOnlySpan) error {
	f.calls++
	return f.export(ctx)
}

func (f *fakeExporter) Shutdown(context.Context) error { return nil }

// The log has one line for each change, whatever the number of spans.
func TestTroubleWithTheCollectorIsToldOnce(t *testing.T) {
	var log bytes.Buffer
	fake := &fakeExporter{}
	c := &collector{SpanExporter: fake, log: slog.New(slog.NewTextHandler(&log, nil))}
	for _, err := range []error{nil, io.EOF, io.ErrUnexpectedEOF, io.EOF, nil, nil, io.EOF} {
		fake.export = func(context.Context) error { return err }
		if err := c.ExportSpans(t.Context(), nil); err != nil {
			t.Errorf("the SDK is told, too: %v", err)
		}
	}
	var said []string
	for line := range strings.Lines(log.String()) {
		_, text, _ := strings.Cut(strings.TrimSpace(line), "msg=")
		said = append(said, text)
	}
	const fails, again = `"traces cannot be sent and are dropped" error=EOF`, `"traces are sent again"`
	if diff := cmp.Diff([]string{fails, again, fails}, said); diff != "" {
		t.Errorf("the log (-want +got):\n%s", diff)
	}
}

// A collector that takes connections and never answers holds a stop up for flushTimeout.
func TestAStopDoesNotWaitForACollectorThatHangs(t *testing.T) {
	unsetTracing(t)
	synctest.Test(t, func(t *testing.T) {
		log := new(lockedBuffer) // the SDK goes on for a while
		hangs := &fakeExporter{export: func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		opened, err := newTracing(t.Context(), hangs, "sealed", slog.New(slog.NewTextHandler(log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		_, span := opened.tracer().Start(t.Context(), "one")
		span.End()
		began := time.Now()
		opened.close()
		if took := time.Since(began); took != flushTimeout {
			t.Errorf("the stop took %s, want %s", took, flushTimeout)
		}
		if !strings.Contains(log.String(), "the last traces are not sent") {
			t.Errorf("the log does not tell: %s", log)
		}
		time.Sleep(time.Minute) // fake: the SDK gives up, too
		synctest.Wait()
	})
}
