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

// requestIDKey is door.RequestIDHeader as metadata has it.
const requestIDKey = "x-request-id"

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
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, requestKey{}, request), c.timeout)
	defer cancel()
	defer func() {
		if panicked := c.gate.Recovered(ctx, request, recover()); panicked != nil {
			err = panicked
		}
		failure := door.Failure(err)
		c.gate.End(ctx, request, failure)
		if failure != nil {
			out, err = nil, statusOf(failure, request.ID)
		}
	}()
	// The header fails only when the connection is gone, and then nobody reads it.
	_ = grpc.SetHeader(ctx, metadata.MD{requestIDKey: {request.ID}})
	if err := c.admit(ctx, request, operationOf(info.FullMethod), md); err != nil {
		return nil, err
	}
	if err := checkSize(info.FullMethod, in); err != nil {
		return nil, err
	}
	return handle(ctx, in)
}

func (c *calls) admit(ctx context.Context, r *door.Request, op server.Operation, md metadata.MD) error {
	r.Op = op
	credentials, err := credentialsOf(ctx, md)
	if err != nil {
		return err
	}
	return c.gate.Admit(ctx, r, op, credentials)
}

// stream lets gRPC's own streams pass. Pando has none of its own yet.
func (c *calls) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	if infrastructure(info.FullMethod) {
		return handle(srv, &timedStream{stream, clockOf(stream.Context()), c.bodyTimeout})
	}
	request := door.Begin("", time.Now())
	failure := door.Failure(c.gate.Admit(stream.Context(), request, "", auth.Credentials{}))
	c.gate.End(stream.Context(), request, failure)
	return statusOf(failure, request.ID)
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
