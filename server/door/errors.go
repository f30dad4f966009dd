package door

import (
	"context"
	"errors"
	"time"

	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/server/auth"
)

// retryLater is what a caller is told to wait after a failure that is expected to pass by
// itself and that says nothing about when.
const retryLater = 2 * time.Second

// Failure is what a caller may be told of err; nil for nil.
func Failure(err error) *server.Error {
	if err == nil {
		return nil
	}
	var refused *auth.Error
	if errors.As(err, &refused) {
		return authFailure(refused)
	}
	failure := server.AsError(err)
	if failure.Kind != server.KindInternal {
		return failure
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return &server.Error{Kind: server.KindUnavailable, Code: "unavailable", Message: "the request took too long", RetryAfter: retryLater, Err: err}
	case errors.Is(err, context.Canceled):
		return &server.Error{Kind: server.KindUnavailable, Code: "unavailable", Message: "the caller went away", RetryAfter: retryLater, Err: err}
	}
	return failure
}

// authFailure tells a caller whose credential was refused no more than the authenticator
// lets it know.
func authFailure(refused *auth.Error) *server.Error {
	failure := &server.Error{
		Kind: server.KindUnauthenticated, Code: "unauthenticated",
		Message: refused.Message, RetryAfter: refused.RetryAfter, Err: refused,
	}
	switch refused.Reason {
	case auth.ReasonRateLimited:
		failure.Kind, failure.Code = server.KindRateLimited, "rate_limited"
	case auth.ReasonUnavailable:
		failure.Kind, failure.Code = server.KindUnavailable, "unavailable"
	case auth.ReasonTokenUsed:
		failure.Code = "token_used"
	case auth.ReasonTokenExpired:
		failure.Code = "token_expired"
	}
	if failure.Kind == server.KindUnavailable && failure.RetryAfter == 0 {
		failure.RetryAfter = retryLater
	}
	return failure
}

// Invalid is the failure of a request that a door cannot even read.
func Invalid(message string) *server.Error {
	return &server.Error{Kind: server.KindInvalid, Code: "invalid_request", Message: message}
}

// TooLarge is the failure of a request that exceeds a limit.
func TooLarge(message string) *server.Error {
	return &server.Error{Kind: server.KindTooLarge, Code: "too_large", Message: message}
}
