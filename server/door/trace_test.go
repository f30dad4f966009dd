package door

import (
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/pando-ca/pando/server"
)

const (
	theirTrace   = "0af7651916cd43dd8448eb211c80319c"
	theirs       = "00-" + theirTrace + "-b7ad6b7169203331-01"
	theirsHidden = "00-" + theirTrace + "-b7ad6b7169203331-00"
	// lowTrace is below each bound of a sampler that goes by the identifier.
	lowTrace = "00-00000000000000010000000000000001-b7ad6b7169203331-01"
)

// A caller decides neither whether a request is sampled, nor what its trace is called.
func TestWhatACallerSaysOfItsTrace(t *testing.T) {
	always, never := sdktrace.AlwaysSample(), sdktrace.NeverSample()
	tests := map[string]struct {
		sampler     sdktrace.Sampler
		header      string
		wantSampled bool
		wantLink    bool
	}{
		"nothing":                                           {always, "", true, false},
		"that it is sampled":                                {always, theirs, true, true},
		"that it is not sampled":                            {sdktrace.ParentBased(always), theirsHidden, true, true},
		"that it is sampled, where nothing is":              {sdktrace.ParentBased(never), theirs, false, false},
		"an identifier that a ratio would take":             {sdktrace.TraceIDRatioBased(1e-9), lowTrace, false, false},
		"the same, as a parent":                             {sdktrace.ParentBased(sdktrace.TraceIDRatioBased(1e-9)), lowTrace, false, false},
		"an identifier of zeros":                            {always, "00-00000000000000000000000000000000-b7ad6b7169203331-01", true, false},
		"what breaks off":                                   {always, theirs[:40], true, false},
		"more than there may be":                            {always, theirs + "-00", true, false},
		"what is no header at all":                          {always, "\x00\x1b[31m", true, false},
		"a version of the future, with what it has in more": {always, "01" + theirs[2:] + "-what-the-future-brings", true, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			recorder := tracetest.NewSpanRecorder()
			provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder), sdktrace.WithSampler(test.sampler))
			gate := &Gate{Tracer: provider.Tracer("test")}
			r := Begin("", time.Now())
			gate.Trace(t.Context(), r, server.OpSign, test.header)
			if got := r.TraceID(); (got != "") != test.wantSampled || got == theirTrace {
				t.Errorf("the trace is %q, want one of its own: %v", got, test.wantSampled)
			}
			r.endTrace(CodeOK, nil)
			ended := recorder.Ended()
			if (len(ended) == 1) != test.wantSampled {
				t.Fatalf("%d spans, want one: %v", len(ended), test.wantSampled)
			}
			if len(ended) == 0 {
				return
			}
			if ended[0].Parent().IsValid() || (len(ended[0].Links()) == 1) != test.wantLink {
				t.Errorf("parent %v, links %v, want no parent, and a link: %v", ended[0].Parent(), ended[0].Links(), test.wantLink)
			}
		})
	}
}

// Who does not trace pays nothing for it.
func TestNoTraceDoesNotAllocate(t *testing.T) {
	gate := &Gate{}
	r := Begin("", time.Now())
	traced := func() {
		ctx := gate.Trace(t.Context(), r, server.OpSign, theirs)
		_, step := server.BeginStep(ctx, "auth")
		step.Note("pando.method", "mtls")
		step.End(nil)
		r.endTrace(CodeOK, nil)
		if r.TraceID() != "" {
			t.Error("there is a trace")
		}
	}
	if n := testing.AllocsPerRun(100, traced); n != 0 {
		t.Errorf("%v allocations per request, want none", n)
	}
}
