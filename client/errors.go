package client

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ErrNotReady is wrapped by the errors of handshakes that fail because this side has no
// identity yet, after [Start]. They name why the last try to get one failed.
var ErrNotReady = errors.New("no identity yet")

// ErrExpired is wrapped by the errors of handshakes that fail because the identity of this
// side has expired and no new one could be obtained.
var ErrExpired = errors.New("identity has expired")

// ErrRevoked is wrapped by the errors of handshakes and connections whose peer's
// certificate, or an authority above it, was revoked; and by those that fail because the
// certificate of this side was. They name which.
var ErrRevoked = errors.New("revoked by the CA")

// ErrPlaintext is wrapped by the errors of a [Dialer] that may not use plaintext, which say
// what is missing, and of plaintext connections that are closed because they are not allowed
// any more.
var ErrPlaintext = errors.New("plaintext is not allowed")

// ServerError is a refusal by the CA: an answer that it gave on purpose.
type ServerError struct {
	Server     string        // base URL of the server that answered
	Status     int           // HTTP status
	Code       string        // stable code such as "token_used", "policy_denied"; empty if the answer was not Pando's
	Rule       string        // with policy_denied: the rule that was broken
	Detail     string        // for people; quoted and cut by Error
	RequestID  string        // for the operator of the CA
	RetryAfter time.Duration // how long the server asks to wait, 0 if it does not say
}

// Error names the server, the code, the detail and the request.
func (e *ServerError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s answered %d", e.Server, e.Status)
	if e.Code != "" {
		fmt.Fprintf(&b, " %s", printable(e.Code))
	}
	if e.Rule != "" {
		fmt.Fprintf(&b, " (rule %s)", printable(e.Rule))
	}
	if e.Detail != "" {
		fmt.Fprintf(&b, ": %s", printable(e.Detail))
	}
	if e.RequestID != "" {
		fmt.Fprintf(&b, " (request %s)", printable(e.RequestID))
	}
	return b.String()
}

// Final reports whether the same request will meet the same answer until somebody changes
// something: [Open] gives up on such an answer at once.
func (e *ServerError) Final() bool {
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	// A replayed JWT is replaced by the next one that its source gives.
	return e.Status >= 400 && e.Status < 500 && e.Code != "replayed"
}

// isFinal reports whether err is a refusal that trying again will not change.
func isFinal(err error) bool {
	var refusal *ServerError
	return errors.As(err, &refusal) && refusal.Final()
}

// isRevoked reports whether the CA has refused a certificate because it is revoked.
func isRevoked(err error) bool {
	var refusal *ServerError
	return errors.As(err, &refusal) && refusal.Code == "revoked"
}

// askedToWait returns how long the servers that refused ask to wait, the longest if there
// are several; 0 if none does.
func askedToWait(err error) time.Duration {
	switch e := err.(type) { //nolint:errorlint // it walks the tree itself
	case *ServerError:
		return e.RetryAfter
	case interface{ Unwrap() error }:
		return askedToWait(e.Unwrap())
	case interface{ Unwrap() []error }:
		var longest time.Duration
		for _, inner := range e.Unwrap() {
			longest = max(longest, askedToWait(inner))
		}
		return longest
	}
	return 0
}

// printable makes outside text safe for a log line: no control characters, and short.
func printable(s string) string {
	const most = 300
	if len(s) > most {
		s = s[:most] + "…"
	}
	quoted := strconv.QuoteToGraphic(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}
