package door

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.opentelemetry.io/otel/trace"

	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/server/auth"
)

// Authenticator finds out who a caller is; *auth.Authenticator does. An error is an
// *auth.Error, or else a failure of the authenticator itself.
type Authenticator interface {
	Authenticate(ctx context.Context, credentials auth.Credentials, now time.Time) (policy.Caller, error)
}

// Observer is told of every request, for metrics. Its methods must not block.
type Observer interface {
	// Request reports a request that has been answered. The operation is empty when there
	// was none, the profile when it does not exist or none was used, and code is "ok" or a
	// stable error code: all three are from closed sets. traceID is where the request can be
	// looked at; empty when it is not traced.
	Request(op server.Operation, profile, code string, d time.Duration, traceID string)
}

// CodeOK is the code of a request that did not fail.
const CodeOK = "ok"

// Gate is what both doors do around each request. It is safe for concurrent use.
type Gate struct {
	Name     string // of the door, for the log and the traces
	Auth     Authenticator
	Observer Observer
	Tracer   trace.Tracer // nil: nothing is traced
	Log      *slog.Logger
}

// Request is one request on its way through a door. It belongs to the goroutine that
// answers the request.
type Request struct {
	ID      string
	Op      server.Operation // empty until it is known
	Caller  policy.Caller    // zero until it is admitted
	Profile string           // an existing profile, for metrics
	Serial  string           // of the certificate that it was about
	Start   time.Time

	span trace.Span // nil: not traced
}

// Begin gives a request its identifier: the one that the client chose if it is well formed,
// or else a new one.
func Begin(clientID string, now time.Time) *Request {
	id := clientID
	if !validRequestID(id) {
		id = newRequestID()
	}
	return &Request{ID: id, Start: now}
}

// Admit finds out who asks for op. The use cases of package server decide whether the caller
// may have it; here nobody passes who is not known, unless op is open to everybody.
func (g *Gate) Admit(ctx context.Context, r *Request, op server.Operation, credentials auth.Credentials) error {
	if op == "" {
		return &server.Error{Kind: server.KindPermissionDenied, Code: "permission_denied", Message: "nobody may do this"}
	}
	r.Op = op
	if server.Anonymous(op) {
		return nil
	}
	ctx, step := server.BeginStep(ctx, "auth")
	caller, err := g.Auth.Authenticate(ctx, credentials, r.Start)
	if err != nil {
		step.End(Failure(err))
		return err
	}
	step.Note("pando.method", string(caller.Method))
	step.End(nil)
	r.Caller = caller
	return nil
}

// Issued notes what a request was answered with, for the log and the metrics.
func (r *Request) Issued(serial, profile string) { r.Serial, r.Profile = serial, profile }

// Recovered turns what a handler panicked with into an error that says nothing, after
// writing all of it to the log. A nil value is no panic.
func (g *Gate) Recovered(ctx context.Context, r *Request, value any) error {
	if value == nil {
		return nil
	}
	g.Log.LogAttrs(ctx, slog.LevelError, "handler panicked",
		slog.String("request_id", r.ID), slog.String("op", string(r.Op)),
		slog.String("panic", clip(fmt.Sprint(value))), slog.String("stack", string(debug.Stack())))
	return &server.Error{Kind: server.KindInternal, Code: "internal", Message: "internal error"}
}

// End writes the one line of a request to the log and tells the observer. failure is nil for
// a request that did not fail. Neither a credential nor a CSR is ever part of the line.
func (g *Gate) End(ctx context.Context, r *Request, failure *server.Error) {
	took := time.Since(r.Start)
	code, level := CodeOK, slog.LevelInfo
	switch {
	case failure != nil:
		code, level = failure.Code, failureLevel(failure.Kind)
	case routine(r.Op):
		level = slog.LevelDebug
	}
	traceID := r.TraceID()
	r.endTrace(code, failure)
	if g.Observer != nil {
		g.Observer.Request(r.Op, r.Profile, code, took, traceID)
	}
	if !g.Log.Enabled(ctx, level) {
		return
	}
	attrs := [11]slog.Attr{
		slog.String("request_id", r.ID), slog.String("door", g.Name), slog.String("op", string(r.Op)),
		slog.String("caller", clip(r.Caller.Subject)), slog.String("method", string(r.Caller.Method)),
		slog.String("code", code), slog.Duration("duration", took),
	}
	line := attrs[:7]
	if r.Serial != "" {
		line = append(line, slog.String("serial", r.Serial))
	}
	if traceID != "" {
		line = append(line, slog.String("trace_id", traceID))
	}
	if failure != nil {
		line = append(line, slog.String("reason", clip(failure.Message)))
		if failure.Err != nil {
			line = append(line, slog.String("error", clip(failure.Err.Error())))
		}
	}
	g.Log.LogAttrs(ctx, level, "request", line...)
}

// routine reports whether op is what every follower does all day, and nothing changes by it.
func routine(op server.Operation) bool { return op == server.OpTrust || op == server.OpReportMTLS }

// failureLevel keeps what callers do wrong from looking like trouble of ours.
func failureLevel(kind server.Kind) slog.Level {
	switch kind {
	case server.KindInternal:
		return slog.LevelError
	case server.KindUnavailable:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// maxLogged is the most of one text from outside that a line of the log carries: that of the
// longest SPIFFE ID (SPIFFE ID, section 2.3).
const maxLogged = 2048

// clip makes a text from outside fit for a line of the log. The handlers of log/slog escape
// what would break the line; the one for JSON leaves in place what a terminal obeys all the
// same: the control characters above ASCII, and those that turn the direction of writing.
func clip(text string) string {
	if len(text) > maxLogged {
		text = text[:maxLogged] + "…"
	}
	if strings.ContainsFunc(text, unprintable) {
		quoted := strconv.Quote(text)
		return quoted[1 : len(quoted)-1]
	}
	return text
}

// unprintable reports also what was not UTF-8.
func unprintable(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }
