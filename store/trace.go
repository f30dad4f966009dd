package store

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// tracerName is the scope of the spans of commits.
const tracerName = "github.com/pando-ca/pando/store"

// beginSpan opens the span of a commit if one of those who share it is traced. It is under the
// first of them, so that it is sampled if and only if a request is whose trace leads to it; it and
// the others are linked in both directions.
func (p *pool) beginSpan(ctx context.Context) (context.Context, trace.Span) {
	if len(p.spans) == 0 {
		return ctx, nil
	}
	first, others := p.spans[0], p.spans[1:]
	links := make([]trace.Link, len(others))
	for i, other := range others {
		links[i].SpanContext = other.SpanContext()
	}
	ctx, span := first.TracerProvider().Tracer(tracerName).Start(trace.ContextWithSpan(ctx, first), "commit",
		trace.WithLinks(links...), trace.WithAttributes(attribute.Int("pando.requests", len(p.items))))
	for _, other := range others {
		other.AddLink(trace.Link{SpanContext: span.SpanContext()})
	}
	return ctx, span
}

// endSpan ends the span of a commit, if there is one. The text of an error is for the log.
func endSpan(span trace.Span, err error) {
	if span == nil {
		return
	}
	if err != nil {
		span.SetStatus(codes.Error, "the commit failed")
	}
	span.End()
}
