package server

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// tracerName is the scope of the spans of the steps.
const tracerName = "github.com/pando-ca/pando/server"

// Step is a part of a request in its trace: a span, or nothing where the request has none.
// It belongs to one goroutine.
type Step struct{ span trace.Span } // nil: nothing

// BeginStep opens the span of a part of the request that ctx is of, and returns the context
// for what that part does. A request that is not traced, and what Pando does by itself, have
// no span that it could be under: then nothing is opened, which allocates nothing.
func BeginStep(ctx context.Context, name string) (context.Context, Step) {
	request := trace.SpanFromContext(ctx)
	if !request.IsRecording() {
		return ctx, Step{}
	}
	ctx, span := request.TracerProvider().Tracer(tracerName).Start(ctx, name)
	return ctx, Step{span}
}

// Note adds what is known of a step. Values are of closed sets, or numbers by which something
// is known: never a credential, a CSR, or a text from outside.
func (s Step) Note(key, value string) {
	if s.span != nil {
		s.span.SetAttributes(attribute.String(key, value))
	}
}

// Count adds how many things a step is about.
func (s Step) Count(key string, n int) {
	if s.span != nil {
		s.span.SetAttributes(attribute.Int(key, n))
	}
}

// End ends a step. An error leaves its code, and no text.
func (s Step) End(err error) {
	if s.span == nil {
		return
	}
	if err != nil {
		AsError(err).Mark(s.span)
	}
	s.span.End()
}

// Mark writes a failure to a span: the code, and the rule if there is one. What callers do wrong
// is no error of the span, so that what is looks like one.
func (e *Error) Mark(span trace.Span) {
	span.SetAttributes(attribute.String("pando.code", e.Code))
	if e.Rule != "" {
		span.SetAttributes(attribute.String("pando.rule", e.Rule))
	}
	if e.Kind == KindInternal || e.Kind == KindUnavailable {
		span.SetStatus(codes.Error, e.Code)
	}
}

// withoutSteps is for what has too many parts to have a span for each.
func withoutSteps(ctx context.Context) context.Context {
	of := trace.SpanContextFromContext(ctx)
	if !of.IsSampled() {
		return ctx
	}
	return trace.ContextWithSpanContext(ctx, of)
}
