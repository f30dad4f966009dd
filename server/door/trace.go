package door

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/pando-ca/pando/server"
)

// TraceHeader is the name of the header (REST) and of the metadata (gRPC, lower case) by which
// a caller says which span of its own a request belongs to (W3C Trace Context, section 3.2).
const TraceHeader = "Traceparent"

// Trace opens the span of a request, and returns the context of what is under it. What every
// follower does all day, such as to wait for trust to change, and what everybody may have are not
// traced.
//
// callerSpan is what the caller sent as [TraceHeader]. It becomes a link: as a parent, it would
// let anybody, before it is known who that is, choose the identifier of the trace, and by that
// and its flag decide whether the request is sampled.
func (g *Gate) Trace(ctx context.Context, r *Request, op server.Operation, callerSpan string) context.Context {
	if g.Tracer == nil || op == "" || routine(op) || server.Anonymous(op) {
		return ctx
	}
	options := []trace.SpanStartOption{
		trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(r.Start),
		trace.WithAttributes(attribute.String("pando.door", g.Name), attribute.String("pando.request_id", r.ID)),
	}
	if from := parseTraceHeader(callerSpan); from.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: from}))
	}
	ctx, r.span = g.Tracer.Start(ctx, string(op), options...)
	return ctx
}

// parseTraceHeader returns an invalid context for what cannot be read.
func parseTraceHeader(value string) trace.SpanContext {
	if value == "" {
		return trace.SpanContext{}
	}
	carrier := propagation.MapCarrier{"traceparent": value}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
}

// TraceID identifies the trace that a request is in, as 32 hex digits; empty if it is in none,
// or in one that is not sampled and that nobody will find.
func (r *Request) TraceID() string {
	if r.span == nil || !r.span.SpanContext().IsSampled() {
		return ""
	}
	return r.span.SpanContext().TraceID().String()
}

// endTrace ends the span of a request, with what the line of the log says. Its texts are clipped
// in the same way.
func (r *Request) endTrace(code string, failure *server.Error) {
	if r.span == nil {
		return
	}
	if r.span.IsRecording() {
		for _, a := range []attribute.KeyValue{
			attribute.String("pando.caller", clip(r.Caller.Subject)), attribute.String("pando.method", string(r.Caller.Method)),
			attribute.String("pando.profile", r.Profile), attribute.String("pando.serial", r.Serial), attribute.String("pando.code", code),
		} {
			if a.Value.AsString() != "" {
				r.span.SetAttributes(a)
			}
		}
		if failure != nil {
			failure.Mark(r.span)
		}
	}
	r.span.End()
}
