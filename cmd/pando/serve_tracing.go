package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// tracing records the spans of requests and sends them to a collector, beside the requests: what
// it cannot send in time it drops. A nil *tracing does nothing.
type tracing struct {
	provider *sdktrace.TracerProvider
	log      *slog.Logger
}

// flushTimeout bounds how long a stop waits for a collector: enough for one that is there, and
// short against the time that a service manager gives a stop.
const flushTimeout = 3 * time.Second

// openTracing returns nil unless the standard variables of OpenTelemetry ask for traces. The
// collector need not be up.
func openTracing(ctx context.Context, backend string, log *slog.Logger) (*tracing, error) {
	protocol, err := traceProtocol(os.Getenv)
	if protocol == "" || err != nil {
		return nil, err
	}
	exporter, err := newExporter(ctx, protocol)
	if err != nil {
		return nil, err
	}
	otel.SetLogger(logr.FromSlogHandler(log.Handler()))
	return newTracing(ctx, exporter, backend, log)
}

// newExporter makes an exporter by the variables OTEL_EXPORTER_OTLP_…, which it reads itself. One
// that it cannot read it reports with its value, which may be a secret, and goes on without: both
// are stopped here.
func newExporter(ctx context.Context, protocol string) (exporter sdktrace.SpanExporter, err error) {
	unread := &mistakes{Handler: slog.DiscardHandler}
	otel.SetLogger(logr.FromSlogHandler(unread))
	if protocol == protocolGRPC {
		exporter, err = otlptracegrpc.New(ctx)
	} else {
		exporter, err = otlptracehttp.New(ctx)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_…: %w", err)
	case len(unread.found) > 0:
		return nil, errors.Join(fmt.Errorf("OTEL_EXPORTER_OTLP_…: cannot %s", strings.Join(unread.found, ", ")), exporter.Shutdown(ctx))
	}
	return exporter, nil
}

// mistakes remembers the messages of errors, without their attributes.
type mistakes struct {
	slog.Handler
	found []string
}

// Enabled implements slog.Handler.
func (m *mistakes) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }

// Handle implements slog.Handler.
func (m *mistakes) Handle(_ context.Context, r slog.Record) error {
	m.found = append(m.found, r.Message)
	return nil
}

// newTracing is openTracing with an exporter, which it owns from here on. The SDK itself reads the
// variables of the sampler, the limits, the queue and the resource.
func newTracing(ctx context.Context, exporter sdktrace.SpanExporter, backend string, log *slog.Logger) (*tracing, error) {
	about, err := resource.New(ctx,
		resource.WithAttributes(
			attribute.String("service.name", "pando"), attribute.String("service.version", readVersion().Version),
			attribute.String("pando.keys.backend", backend),
		),
		resource.WithTelemetrySDK(), resource.WithHost(),
		resource.WithFromEnv(), // comes last: it is what somebody has said
	)
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", errors.Join(err, exporter.Shutdown(ctx)))
	}
	// The SDK reports a sampler that it does not know and goes on with another one.
	var refused []error
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { refused = append(refused, err) }))
	provider := sdktrace.NewTracerProvider(sdktrace.WithResource(about))
	otel.SetErrorHandler(&troubles{log: log})
	if len(refused) > 0 {
		return nil, fmt.Errorf("OTEL_TRACES_SAMPLER: %w", errors.Join(append(refused, exporter.Shutdown(ctx))...))
	}
	provider.RegisterSpanProcessor(sdktrace.NewBatchSpanProcessor(&collector{SpanExporter: exporter, log: log}))
	return &tracing{provider: provider, log: log}, nil
}

// tracer is what the doors trace with; nil when nothing is traced.
func (t *tracing) tracer() trace.Tracer {
	if t == nil {
		return nil
	}
	return t.provider.Tracer("github.com/pando-ca/pando")
}

// close sends what is left, if that can be done in time. Traces are no reason to fail.
func (t *tracing) close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.log.WarnContext(ctx, "the last traces are not sent", "error", err)
	}
}

// Protocols of OTLP.
const (
	protocolGRPC = "grpc"
	protocolHTTP = "http/protobuf"
)

// traceProtocol is how traces are to be sent; empty if nobody asks for them. What asks for
// something that there is not is refused, rather than taken for something else.
func traceProtocol(getenv func(string) string) (string, error) {
	first := func(names ...string) (name, value string) {
		for _, name = range names {
			if value = strings.TrimSpace(getenv(name)); value != "" {
				break
			}
		}
		return name, value
	}
	_, disabled := first("OTEL_SDK_DISABLED")
	_, exporter := first("OTEL_TRACES_EXPORTER")
	variable, endpoint := first("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
	switch {
	case strings.EqualFold(disabled, "true"), exporter == "none", exporter == "" && endpoint == "":
		return "", nil
	case exporter != "" && exporter != "otlp":
		return "", fmt.Errorf("OTEL_TRACES_EXPORTER: %q is neither otlp nor none", exporter)
	}
	if endpoint != "" {
		// An exporter would fall back to its default, and nobody would know where the traces are.
		if u, err := url.Parse(endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return "", fmt.Errorf("%s: not a URL such as http://collector:4318", variable) // it may hold a password
		}
	}
	variable, protocol := first("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
	switch protocol {
	case "":
		return protocolHTTP, nil // the default of the specification
	case protocolGRPC, protocolHTTP:
		return protocol, nil
	}
	return "", fmt.Errorf("%s: %q is neither %s nor %s", variable, protocol, protocolGRPC, protocolHTTP)
}

// collector is an exporter that says once that it fails, and once that it does not any more. Its
// methods are called by one goroutine at a time.
type collector struct {
	sdktrace.SpanExporter
	log     *slog.Logger
	failing bool
}

// ExportSpans implements sdktrace.SpanExporter.
func (c *collector) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := c.SpanExporter.ExportSpans(ctx, spans)
	switch {
	case err != nil && !c.failing:
		c.log.WarnContext(ctx, "traces cannot be sent and are dropped", "error", printable(err.Error()))
	case err == nil && c.failing:
		c.log.InfoContext(ctx, "traces are sent again")
	}
	c.failing = err != nil
	return nil
}

// troubles is what else the SDK has to say, once each time that it changes.
type troubles struct {
	log *slog.Logger

	mu   sync.Mutex
	last string
}

// Handle implements otel.ErrorHandler.
func (t *troubles) Handle(err error) {
	text := printable(err.Error())
	t.mu.Lock()
	news := text != t.last
	t.last = text
	t.mu.Unlock()
	if news {
		t.log.Warn("traces", "error", text)
	}
}
