package rest

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"go.opentelemetry.io/otel/trace"

	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/server/door"
)

// Observer is told of every request, for metrics.
type Observer = door.Observer

// Config is what the REST door needs. Fields without a default are required.
type Config struct {
	Service  *server.Service
	Auth     door.Authenticator // *auth.Authenticator
	Observer Observer           // none: nothing is told
	Tracer   trace.Tracer       // none: nothing is traced
	Log      *slog.Logger       // none: discarded

	// RequestTimeout bounds the answer to one request, besides the time that it asks the
	// answer to wait. 0 means 30 seconds.
	RequestTimeout time.Duration
	// BodyTimeout bounds the reading of one body. 0 means 10 seconds.
	BodyTimeout time.Duration
}

const (
	// defaultRequestTimeout is above the longest commit that the store allows, so that its
	// failure is told as such.
	defaultRequestTimeout = 30 * time.Second
	// defaultBodyTimeout is enough for the largest batch at 4 Mbit/s.
	defaultBodyTimeout = 10 * time.Second
)

// rest is the door. It is immutable once New has returned.
type rest struct {
	cfg    Config
	gate   door.Gate
	router *chi.Mux
	api    huma.API
	routes map[string]server.Operation // by method and path
}

// New returns the handler of the REST door.
func New(cfg Config) (http.Handler, error) {
	return newRest(cfg)
}

func newRest(cfg Config) (*rest, error) {
	if cfg.Service == nil || cfg.Auth == nil {
		return nil, errors.New("rest: the configuration lacks a service or an authenticator")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.RequestTimeout == 0 {
		cfg.RequestTimeout = defaultRequestTimeout
	}
	if cfg.BodyTimeout == 0 {
		cfg.BodyTimeout = defaultBodyTimeout
	}
	d := &rest{
		cfg:    cfg,
		gate:   door.Gate{Name: "rest", Auth: cfg.Auth, Observer: cfg.Observer, Tracer: cfg.Tracer, Log: cfg.Log},
		router: chi.NewMux(),
		routes: make(map[string]server.Operation),
	}
	d.router.NotFound(noRoute)
	d.router.MethodNotAllowed(d.noMethod)
	d.api = &wire{huma.NewAPI(describe(), humachi.NewAdapter(d.router))}
	d.certificateRoutes()
	d.revocationRoutes()
	d.identityRoutes()
	d.bundleRoutes()
	d.entryRoutes()
	d.tokenRoutes()
	d.trustRoutes()
	d.authorityRoutes()
	d.orderRoutes()
	d.importRoutes()
	d.scheduleRoutes()
	d.auditRoutes()
	d.diagnosisRoutes()
	d.mtlsRoutes()
	d.overviewRoutes()
	return d, d.serveDescription()
}

// ServeHTTP gives a request its number and its line in the log, and answers it.
func (d *rest) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ex := &exchange{Request: door.Begin(r.Header.Get(door.RequestIDHeader), time.Now()), w: w}
	w.Header().Set(door.RequestIDHeader, ex.ID)
	ctx := context.WithValue(r.Context(), exchangeKey{}, ex)
	defer func() { d.end(ctx, ex, recover()) }()
	d.router.ServeHTTP(ex, r.WithContext(ctx))
}

// end completes the answer and writes the line in the log. When a handler panicked after a
// part of its answer had left, the connection is cut, so that nobody takes the part for the
// whole.
func (d *rest) end(ctx context.Context, ex *exchange, panicked any) {
	if err := d.gate.Recovered(ctx, ex.Request, panicked); err != nil {
		if ex.sent {
			ex.failure = door.Failure(err)
			d.gate.End(ctx, ex.Request, ex.failure)
			panic(http.ErrAbortHandler)
		}
		ex.refuse(err)
	}
	ex.finish()
	d.gate.End(ctx, ex.Request, ex.failure)
}

// register adds a route for an operation. It is the only way to add one: who may not have
// the operation does not reach the handler, and the body of who is not known is not read.
func register[I, O any](d *rest, op server.Operation, route huma.Operation, handle func(context.Context, *exchange, *I) (*O, error)) {
	if route.OperationID == "" {
		route.OperationID = string(op)
	}
	if route.MaxBodyBytes == 0 {
		route.MaxBodyBytes = door.MaxBody
	}
	route.MaxBodyBytes++ // huma refuses a body of exactly the limit
	route.BodyReadTimeout = d.cfg.BodyTimeout
	// The decoder is strict, and the use cases check the rest with better words.
	route.SkipValidateBody = true
	route.Middlewares = huma.Middlewares{func(ctx huma.Context, next func(huma.Context)) {
		r, _ := humachi.Unwrap(ctx)
		traced := d.gate.Trace(r.Context(), exchangeOf(r.Context()).Request, op, r.Header.Get(door.TraceHeader))
		bounded, cancel := context.WithTimeout(traced, d.timeout(op))
		defer cancel()
		if d.admit(r.WithContext(bounded), op, ctx.Operation()) {
			next(huma.WithContext(ctx, bounded))
		}
	}}
	describeRoute(d.api, op, &route)
	huma.Register(d.api, route, func(ctx context.Context, in *I) (*O, error) {
		ex := exchangeOf(ctx)
		out, err := handle(ctx, ex, in)
		if err != nil {
			return nil, ex.fail(err)
		}
		return out, nil
	})
	d.routes[route.Method+" "+route.Path] = op
}

// timeout bounds the answer to a request for an operation.
func (d *rest) timeout(op server.Operation) time.Duration {
	if op == server.OpTrust {
		return d.cfg.RequestTimeout + server.MaxTrustWait
	}
	return d.cfg.RequestTimeout
}

// admit reports whether a request may go on, and answers it if not.
func (d *rest) admit(r *http.Request, op server.Operation, route *huma.Operation) bool {
	ex := exchangeOf(r.Context())
	ex.Op = op
	credentials, err := credentialsOf(r)
	if err == nil {
		err = d.gate.Admit(r.Context(), ex.Request, op, credentials)
	}
	if err == nil {
		err = checkQuery(r.URL.RawQuery, route)
	}
	switch {
	case err != nil:
		ex.refuse(err)
	case !takes(route, r.Header.Get("Content-Type")):
		failure := door.Invalid("the content type is not " + bodyTypes(route))
		ex.writeProblem(ex.failWith(failure, http.StatusUnsupportedMediaType))
	default:
		return true
	}
	return false
}
