package rpc

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/pando-ca/pando/api/v1"
	"github.com/pando-ca/pando/server/door"
)

// defaultBodyTimeout is enough for the largest batch at 4 Mbit/s.
const defaultBodyTimeout = 10 * time.Second

type arrivalKey struct{}

// await starts the clock of a call's first message. gRPC reads a message before an interceptor
// can ask who sends it, and bounds its size but not the time that it takes: without this,
// strangers could fill the memory with messages that they never finish.
func (c *calls) await(ctx context.Context, _ *tap.Info) (context.Context, error) {
	ctx, cancel := context.WithCancel(ctx) // ends with the call at the latest
	return context.WithValue(ctx, arrivalKey{}, time.AfterFunc(c.bodyTimeout, cancel)), nil
}

// clockOf is the clock that await has started.
func clockOf(ctx context.Context) *time.Timer { return ctx.Value(arrivalKey{}).(*time.Timer) }

// timedStream holds each message of a stream to the time that one may take, and to the size.
type timedStream struct {
	grpc.ServerStream
	ctx    context.Context
	method string
	clock  *time.Timer
	limit  time.Duration
}

// Context implements grpc.ServerStream.
func (s *timedStream) Context() context.Context { return s.ctx }

// RecvMsg implements grpc.ServerStream.
func (s *timedStream) RecvMsg(into any) error {
	s.clock.Reset(s.limit)
	defer s.clock.Stop()
	if err := s.ServerStream.RecvMsg(into); err != nil {
		return err
	}
	return checkSize(s.method, into)
}

// checkSize holds a message to the limit of the REST door. gRPC itself knows one limit for all
// methods, which is that of a batch.
func checkSize(method string, in any) error {
	limit := door.MaxBody
	if method == apiv1.CertificateService_SignCertificates_FullMethodName {
		limit = door.MaxBatchBody
	}
	if message, ok := in.(proto.Message); ok && proto.Size(message) > limit {
		return door.TooLarge(fmt.Sprintf("the message is larger than %d octets", limit))
	}
	return nil
}
