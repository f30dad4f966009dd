package store_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/pando-ca/pando/store"
)

// asker is one request in its trace.
type asker struct {
	ctx  context.Context
	span trace.Span
}

// insert inserts for n askers at once, behind one issuance that is in flight. Askers have
// ended when it returns.
func insert(t *testing.T, b *store.Batcher, askers []asker) {
	t.Helper()
	var wait sync.WaitGroup
	wait.Go(func() { _ = b.Insert(t.Context(), issuances(1)[0], time.Now()) })
	synctest.Wait() // it is in flight
	for _, a := range askers {
		wait.Go(func() {
			defer a.span.End()
			_ = b.Insert(a.ctx, issuances(1)[0], time.Now())
		})
		synctest.Wait() // they queue up in this order
	}
	wait.Wait()
}

// linked is the spans that a span is linked to.
func linked(s sdktrace.ReadOnlySpan) []trace.SpanID {
	var ids []trace.SpanID
	for _, l := range s.Links() {
		ids = append(ids, l.SpanContext.SpanID())
	}
	return ids
}

func TestASharedCommitIsInOneTraceAndLinkedToTheOthers(t *testing.T) {
	run(t, store.BatcherConfig{}, func(t *testing.T, b *store.Batcher, f *fakeStore) {
		recorder := tracetest.NewSpanRecorder()
		sampled := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer("test")
		dropped := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder), sdktrace.WithSampler(sdktrace.NeverSample())).Tracer("test")
		var askers []asker
		for _, tracer := range []trace.Tracer{dropped, sampled, sampled, dropped, sampled} {
			ctx, span := tracer.Start(t.Context(), "request", trace.WithNewRoot())
			askers = append(askers, asker{ctx, span})
		}
		insert(t, b, askers)
		wantBatches(t, f, 1, 5)

		spans := make(map[trace.SpanID]sdktrace.ReadOnlySpan)
		var commits []sdktrace.ReadOnlySpan
		for _, s := range recorder.Ended() {
			spans[s.SpanContext().SpanID()] = s
			if s.Name() == "commit" {
				commits = append(commits, s)
			}
		}
		if len(commits) != 1 {
			t.Fatalf("%d spans of commits, want 1: that of the shared one", len(commits))
		}
		id := func(n int) trace.SpanID { return askers[n].span.SpanContext().SpanID() }
		commit := commits[0]
		if commit.Parent().SpanID() != id(1) || commit.EndTime().Sub(commit.StartTime()) != commitTime {
			t.Errorf("the commit is under %s for %s, want %s for %s", commit.Parent().SpanID(), commit.EndTime().Sub(commit.StartTime()), id(1), commitTime)
		}
		if got := linked(commit); !slices.Equal(got, []trace.SpanID{id(2), id(4)}) {
			t.Errorf("the commit is linked to %v, want %v and %v", got, id(2), id(4))
		}
		for n, want := range map[int][]trace.SpanID{1: nil, 2: {commit.SpanContext().SpanID()}, 4: {commit.SpanContext().SpanID()}} {
			if got := linked(spans[id(n)]); !slices.Equal(got, want) {
				t.Errorf("request %d is linked to %v, want %v", n, got, want)
			}
		}
	})
}

func TestACommitThatFailsIsMarkedWithoutItsText(t *testing.T) {
	run(t, store.BatcherConfig{}, func(t *testing.T, b *store.Batcher, f *fakeStore) {
		f.before = errors.New("password of the database")
		recorder := tracetest.NewSpanRecorder()
		ctx, span := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer("test").Start(t.Context(), "request")
		if err := b.Insert(ctx, issuances(1)[0], time.Now()); err == nil {
			t.Error("a commit that fails is taken for one that does not")
		}
		span.End()
		ended := recorder.Ended()
		if len(ended) != 2 || ended[0].Name() != "commit" {
			t.Fatalf("%d spans, the first is %q", len(ended), ended[0].Name())
		}
		if got := ended[0].Status(); got.Code != codes.Error || got.Description != "the commit failed" || len(ended[0].Events()) != 0 {
			t.Errorf("the commit has the status %v and %d events", got, len(ended[0].Events()))
		}
	})
}
