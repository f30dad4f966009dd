package server_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
)

// discarding writes nothing: what is left is the way from the CSR to the commit.
type discarding struct{ server.Issuances }

func (discarding) Insert(context.Context, *store.Issuance, time.Time) error { return nil }

// BenchmarkIssue is what tracing costs an issuance: where nothing is traced, where the sampler
// takes nothing, and where it takes everything, without an exporter.
func BenchmarkIssue(b *testing.B) {
	f := newFixture(b, func(cfg *server.Config) { cfg.Issuances = discarding{cfg.Issuances} })
	operator := administrator(policy.RoleOperator)
	req := request(b)
	req.Want.ID = parseID(b, workload)
	run := func(b *testing.B, begin func(context.Context) (context.Context, trace.Span)) {
		b.ReportAllocs()
		for b.Loop() {
			ctx, span := begin(b.Context())
			if _, err := f.Issue(ctx, operator, req); err != nil {
				b.Fatal(err)
			}
			if span != nil {
				span.End()
			}
		}
	}
	b.Run("off", func(b *testing.B) {
		run(b, func(ctx context.Context) (context.Context, trace.Span) { return ctx, nil })
	})
	for name, sampler := range map[string]sdktrace.Sampler{"not sampled": sdktrace.NeverSample(), "sampled": sdktrace.AlwaysSample()} {
		tracer := sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler), sdktrace.WithBatcher(tracetest.NewNoopExporter())).Tracer("test")
		b.Run(name, func(b *testing.B) {
			run(b, func(ctx context.Context) (context.Context, trace.Span) { return tracer.Start(ctx, "request") })
		})
	}
}

// TestARunOfAJobIsOneSpan, whatever it signs: somebody who asks for it is in a trace.
func TestARunOfAJobIsOneSpan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		_, old := f.downloader(t)
		due(old)
		recorder := tracetest.NewSpanRecorder()
		ctx, span := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer("test").Start(t.Context(), "schedule.run")
		if err := f.PreRenew(ctx, time.Now()); err != nil {
			t.Fatal(err)
		}
		span.End()
		if f.newest(t, old).Serial == old.Serial {
			t.Error("nothing was renewed")
		}
		if started := recorder.Started(); len(started) != 1 {
			t.Errorf("%d spans, want that of the request", len(started))
		}
	})
}
