package rpc

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/server/auth"
	"github.com/pando-ca/pando/server/door"
)

// door.RequestIDHeader and door.TraceHeader as metadata has them.
const (
	requestIDKey = "x-request-id"
	traceKey     = "traceparent"
)

// calls is what happens around every call. It is one interceptor and not a chain of them,
// which would cost a closure each per call.
type calls struct {
	gate        door.Gate
	timeout     time.Duration
	bodyTimeout time.Duration
}

type requestKey struct{}

// requestOf is the request of a call that came through the interceptor.
func requestOf(ctx context.Context) *door.Request { return ctx.Value(requestKey{}).(*door.Request) }

func (c *calls) unary(ctx context.Context, in any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (out any, err error) {
	clockOf(ctx).Stop() // the message is here
	if infrastructure(info.FullMethod) {
		return handle(ctx, in)
	}
	md, _ := metadata.FromIncomingContext(ctx)
	request := door.Begin(first(md[requestIDKey]), time.Now())
	op := operationOf(info.FullMethod)
	ctx = c.gate.Trace(context.WithValue(ctx, requestKey{}, request), request, op, first(md[traceKey]))
	ctx, cancel := context.WithTimeout(ctx, c.timeoutOf(op))
	defer cancel()
	defer func() {
		if err = c.end(ctx, request, err, recover()); err != nil {
			out = nil
		}
	}()
	// The header fails only when the connection is gone, and then nobody reads it.
	_ = grpc.SetHeader(ctx, metadata.MD{requestIDKey: {request.ID}})
	if err := c.admit(ctx, request, op, md); err != nil {
		return nil, err
	}
	if err := checkSize(info.FullMethod, in); err != nil {
		return nil, err
	}
	return handle(ctx, in)
}

// timeoutOf bounds the answer to a call for an operation.
func (c *calls) timeoutOf(op server.Operation) time.Duration {
	if op == server.OpTrust {
		return c.timeout + server.MaxTrustWait
	}
	return c.timeout
}

// end writes the line of a call to the log, and returns what to tell the caller of err, or of
// what the handler panicked with.
func (c *calls) end(ctx context.Context, r *door.Request, err error, panicked any) error {
	if recovered := c.gate.Recovered(ctx, r, panicked); recovered != nil {
		err = recovered
	}
	failure := door.Failure(err)
	c.gate.End(ctx, r, failure)
	if failure == nil {
		return nil
	}
	return statusOf(failure, r.ID)
}

func (c *calls) admit(ctx context.Context, r *door.Request, op server.Operation, md metadata.MD) error {
	r.Op = op
	credentials, err := credentialsOf(ctx, md)
	if err != nil {
		return err
	}
	return c.gate.Admit(ctx, r, op, credentials)
}

// stream is unary for streams, and lets gRPC's own pass. The first message of who is not known
// is not read. How long a stream lasts is not bounded but by its connection.
func (c *calls) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) (err error) {
	timed := &timedStream{stream, stream.Context(), info.FullMethod, clockOf(stream.Context()), c.bodyTimeout}
	if infrastructure(info.FullMethod) {
		return handle(srv, timed)
	}
	md, _ := metadata.FromIncomingContext(timed.ctx)
	request := door.Begin(first(md[requestIDKey]), time.Now())
	timed.ctx = context.WithValue(timed.ctx, requestKey{}, request)
	defer func() { err = c.end(timed.ctx, request, err, recover()) }()
	// The header fails only when the connection is gone, and then nobody reads it.
	_ = stream.SetHeader(metadata.MD{requestIDKey: {request.ID}})
	bounded, cancel := context.WithTimeout(timed.ctx, c.timeout)
	defer cancel()
	if err := c.admit(bounded, request, operationOf(info.FullMethod), md); err != nil {
		return err
	}
	return handle(srv, timed)
}

// credentialsOf reads what a call shows of its caller. Nothing is judged here.
func credentialsOf(ctx context.Context, md metadata.MD) (auth.Credentials, error) {
	bearer, err := auth.BearerToken(md["authorization"])
	if err != nil {
		return auth.Credentials{}, err
	}
	shown := auth.Credentials{Bearer: bearer}
	if p, ok := peer.FromContext(ctx); ok {
		shown.Address = door.Host(p.Addr.String())
		if info, ok := p.AuthInfo.(credentials.TLSInfo); ok {
			shown.Chain = info.State.PeerCertificates
		}
	}
	return shown, nil
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}
