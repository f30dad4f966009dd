package server

import (
	"errors"
	"fmt"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/store"
)

// Kind is what sort of failure an [Error] is. Each door maps kinds to its own statuses, in
// one place.
type Kind int

// The kinds. The zero Kind is internal, so that what nobody classified is not blamed on the caller.
const (
	KindInternal Kind = iota
	KindInvalid
	KindUnauthenticated
	KindPermissionDenied
	KindNotFound
	KindAlreadyExists
	KindConflict
	KindRefused // the state of things forbids it
	KindTooLarge
	KindRateLimited
	KindUnavailable
)

// Error is a failure that the caller may be told of. Code is stable and part of the API;
// Message is for people and holds no secret.
type Error struct {
	Kind       Kind
	Code       string
	Message    string
	Rule       string        // with code policy_denied: the rule that was broken
	RetryAfter time.Duration // with KindRateLimited and KindUnavailable: when to try again
	Err        error         // the cause, for the log; never shown
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.Err)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

func (e *Error) Unwrap() error { return e.Err }

// retryUnavailable is what a caller is told to wait while the database is away: long enough
// for a failover to begin, short against the shortest renewal window in earnest use.
const retryUnavailable = 2 * time.Second

// AsError returns the failure that a door may show for err. What is not known becomes an
// internal error that says nothing.
func AsError(err error) *Error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	var denial *policy.Denial
	if errors.As(err, &denial) {
		return &Error{Kind: KindPermissionDenied, Code: "policy_denied", Message: denial.Reason, Rule: string(denial.Rule), Err: err}
	}
	var csr *ca.CSRError
	if errors.As(err, &csr) {
		return &Error{Kind: KindInvalid, Code: "invalid_csr", Message: csr.Error(), Err: err}
	}
	return fromStore(err)
}

// fromStore maps what a store refuses.
func fromStore(err error) *Error {
	e := &Error{Err: err}
	switch {
	case errors.Is(err, store.ErrNotFound):
		e.Kind, e.Code, e.Message = KindNotFound, "not_found", "there is no such object"
	case errors.Is(err, store.ErrExists):
		e.Kind, e.Code, e.Message = KindAlreadyExists, "already_exists", "it exists already"
	case errors.Is(err, store.ErrConflict):
		e.Kind, e.Code, e.Message = KindConflict, "conflict", "it was changed by somebody else meanwhile"
	case errors.Is(err, store.ErrCallerRevoked):
		e.Kind, e.Code, e.Message = KindPermissionDenied, "revoked", "the presented certificate is revoked"
	case errors.Is(err, store.ErrKeyBlocked):
		e.Kind, e.Code, e.Message = KindPermissionDenied, "key_blocked", "the public key is blocked"
	case errors.Is(err, store.ErrEntryGone):
		e.Kind, e.Code, e.Message = KindPermissionDenied, "policy_denied", "the entry that allowed this identity is deleted"
		e.Rule = string(policy.RuleNoEntry)
	case errors.Is(err, store.ErrTokenUsed):
		e.Kind, e.Code, e.Message = KindUnauthenticated, "token_used", "the join token is already used"
	case errors.Is(err, store.ErrTokenExpired):
		e.Kind, e.Code, e.Message = KindUnauthenticated, "token_expired", "the join token has expired"
	case errors.Is(err, store.ErrReplayed):
		e.Kind, e.Code, e.Message = KindUnauthenticated, "replayed", "the token was used before"
	case errors.Is(err, store.ErrUnavailable):
		e.Kind, e.Code, e.Message = KindUnavailable, "unavailable", "the database is not available; try again"
		e.RetryAfter = retryUnavailable
	case errors.Is(err, store.ErrOverloaded):
		e.Kind, e.Code, e.Message = KindUnavailable, "unavailable", "too many requests wait to be recorded; try again"
		e.RetryAfter = retryUnavailable
	case errors.Is(err, store.ErrIssuerInactive):
		e.Kind, e.Code, e.Message = KindUnavailable, "unavailable", "the issuer has just been replaced; try again"
		e.RetryAfter = retryUnavailable
	default:
		e.Kind, e.Code, e.Message = KindInternal, "internal", "internal error"
	}
	return e
}

func invalid(format string, args ...any) *Error {
	return &Error{Kind: KindInvalid, Code: "invalid_request", Message: fmt.Sprintf(format, args...)}
}

func permissionDenied(format string, args ...any) *Error {
	return &Error{Kind: KindPermissionDenied, Code: "permission_denied", Message: fmt.Sprintf(format, args...)}
}

func notFound(message string) *Error {
	return &Error{Kind: KindNotFound, Code: "not_found", Message: message}
}
