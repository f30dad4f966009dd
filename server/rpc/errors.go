package rpc

import (
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/pando-ca/pando/server"
)

// errorDomain is the domain of the ErrorInfo of every failure.
const errorDomain = "pando"

// codeOf is the gRPC code of a kind of failure.
func codeOf(kind server.Kind) codes.Code {
	switch kind {
	case server.KindInvalid:
		return codes.InvalidArgument
	case server.KindUnauthenticated:
		return codes.Unauthenticated
	case server.KindPermissionDenied:
		return codes.PermissionDenied
	case server.KindNotFound:
		return codes.NotFound
	case server.KindAlreadyExists:
		return codes.AlreadyExists
	case server.KindRefused:
		return codes.FailedPrecondition
	case server.KindConflict:
		return codes.Aborted
	case server.KindTooLarge, server.KindRateLimited:
		return codes.ResourceExhausted
	case server.KindUnavailable:
		return codes.Unavailable
	}
	return codes.Internal
}

// statusOf is a failure as a gRPC status: the stable code and the request's identifier as
// ErrorInfo, and when to try again as RetryInfo.
func statusOf(failure *server.Error, requestID string) error {
	info := &errdetails.ErrorInfo{
		Reason: failure.Code, Domain: errorDomain,
		Metadata: map[string]string{"request_id": requestID},
	}
	if failure.Rule != "" {
		info.Metadata["rule"] = failure.Rule
	}
	details := []protoadapt.MessageV1{info}
	if failure.RetryAfter > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(failure.RetryAfter)})
	}
	plain := status.New(codeOf(failure.Kind), failure.Message)
	detailed, err := plain.WithDetails(details...)
	if err != nil { // not for these messages
		return plain.Err()
	}
	return detailed.Err()
}
