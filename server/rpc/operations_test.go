package rpc

import (
	"context"
	"crypto/tls"
	"log/slog"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/server/auth"
	"github.com/pando-ca/pando/server/door"
)

// admits is an authenticator that takes everybody for an administrator.
type admits struct{}

func (admits) Authenticate(context.Context, auth.Credentials, time.Time) (policy.Caller, error) {
	return policy.Caller{Method: policy.MethodJWT, Subject: "test admin", Role: policy.RoleAdmin}, nil
}

func TestEveryMethodHasAnOperation(t *testing.T) {
	s, err := New(Config{Service: &server.Service{}, Auth: admits{}, TLS: &tls.Config{}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	carried := make(map[server.Operation]bool)
	for service, info := range s.GetServiceInfo() {
		for _, method := range info.Methods {
			name := "/" + service + "/" + method.Name
			op := operationOf(name)
			carried[op] = true
			if infrastructure(name) == slices.Contains(server.Operations(), op) {
				t.Errorf("%s carries the operation %q", name, op)
			}
		}
	}
	for _, op := range server.Operations() {
		if !carried[op] {
			t.Errorf("no method carries %s", op)
		}
	}
}

// TestUnmappedMethodIsDenied is what becomes of a method that somebody adds and forgets.
func TestUnmappedMethodIsDenied(t *testing.T) {
	c := &calls{timeout: time.Minute, gate: door.Gate{Auth: admits{}, Log: slog.New(slog.DiscardHandler)}}
	err := c.gate.Admit(t.Context(), door.Begin("", time.Now()), operationOf("/pando.v1.CertificateService/New"), auth.Credentials{})
	if server.AsError(err).Kind != server.KindPermissionDenied {
		t.Errorf("an unmapped method is answered with %v", err)
	}
}

func TestKindsHaveCodes(t *testing.T) {
	tests := map[server.Kind]codes.Code{
		server.KindInternal:         codes.Internal,
		server.KindInvalid:          codes.InvalidArgument,
		server.KindUnauthenticated:  codes.Unauthenticated,
		server.KindPermissionDenied: codes.PermissionDenied,
		server.KindNotFound:         codes.NotFound,
		server.KindAlreadyExists:    codes.AlreadyExists,
		server.KindConflict:         codes.Aborted,
		server.KindRefused:          codes.FailedPrecondition,
		server.KindTooLarge:         codes.ResourceExhausted,
		server.KindRateLimited:      codes.ResourceExhausted,
		server.KindUnavailable:      codes.Unavailable,
		server.Kind(99):             codes.Internal,
	}
	for kind, want := range tests {
		failure := &server.Error{Kind: kind, Code: "code", Message: "words", Rule: "rule", RetryAfter: time.Second}
		if got := status.Code(statusOf(failure, "request")); got != want {
			t.Errorf("kind %d is told as %s, want %s", kind, got, want)
		}
	}
}
