package clienttest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/pando-ca/pando/client"
)

// errCut says that the connection of a request is to be cut instead of an answer.
var errCut = errors.New("cut")

// faults is how the CA fails. Its mutex guards it.
type faults struct {
	slow    time.Duration
	refused map[Operation]string // code
	drop    count                // requests that are cut before anything is done
	lose    count                // answers that are lost after it is done
}

// count is how many of some operations.
type count struct {
	left int
	of   []Operation // none: all
}

// take counts one down, and reports whether it was one of them.
func (n *count) take(operation Operation) bool {
	if n.left == 0 || len(n.of) > 0 && !slices.Contains(n.of, operation) {
		return false
	}
	n.left--
	return true
}

// refusals are the codes that Refuse knows, as Pando's door has them.
func refusals() map[string]refusal {
	const later = 2 * time.Second // what Pando says when it does not know better
	return map[string]refusal{
		"invalid_request":   {status: http.StatusBadRequest, detail: "the request is not understood"},
		"unauthenticated":   {status: http.StatusUnauthorized, detail: "the client certificate is not accepted"},
		"token_used":        {status: http.StatusUnauthorized, detail: "the join token is already used"},
		"token_expired":     {status: http.StatusUnauthorized, detail: "the join token has expired"},
		"permission_denied": {status: http.StatusForbidden, detail: "the caller may not do this"},
		"policy_denied":     {status: http.StatusForbidden, rule: "no_entry", detail: "no entry matches the token's claims"},
		"revoked":           {status: http.StatusForbidden, detail: "the presented certificate is revoked"},
		"not_found":         {status: http.StatusNotFound, detail: "there is nothing at this path"},
		"rate_limited":      {status: http.StatusTooManyRequests, detail: "too many requests", retryAfter: later},
		"internal":          {status: http.StatusInternalServerError, detail: "internal error"},
		"unavailable":       {status: http.StatusServiceUnavailable, detail: "the database is not available; try again", retryAfter: later},
	}
}

// Refuse has requests for some operations, none meaning all, answered with a code of Pando's API,
// until [CA.Accept]: "unavailable" is a database that is away, "policy_denied" an entry that was
// deleted, "not_found" a CA that is too old for the operation. Polls that wait go on. It panics on
// a code that it does not know.
func (c *CA) Refuse(code string, of ...Operation) {
	if _, ok := refusals()[code]; !ok {
		panic(fmt.Sprintf("clienttest: no refusal has the code %q", code))
	}
	if len(of) == 0 {
		of = []Operation{Enrol, Renew, Poll, Tell}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.faults.refused == nil {
		c.faults.refused = make(map[Operation]string)
	}
	for _, operation := range of {
		c.faults.refused[operation] = code
	}
}

// Accept ends what [CA.Refuse] began, for all operations.
func (c *CA) Accept() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults.refused = nil
}

// Slow has each request wait for d before anything is done; 0 ends it. A client gives up after
// ten seconds, so that more is a server that has hung.
func (c *CA) Slow(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults.slow = d
}

// Drop cuts the connections of the next n requests for some operations, none meaning all, before
// anything is done. It replaces what is left of an earlier Drop.
func (c *CA) Drop(n int, of ...Operation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults.drop = count{n, of}
}

// LoseAnswers does what the next n requests ask for, and cuts their connections instead of
// answering: it failed for the client, but it happened. It replaces what is left of an earlier one.
func (c *CA) LoseAnswers(n int, of ...Operation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults.lose = count{n, of}
}

// Down cuts all connections and every new one, until [CA.Up]. What the CA knows stays, as over a
// restart.
func (c *CA) Down() { c.gate.shut(true) }

// Up ends [CA.Down].
func (c *CA) Up() { c.gate.shut(false) }

// fault is what goes wrong with a request before anything is done.
func (c *CA) fault(ctx context.Context, operation Operation) error {
	c.mu.Lock()
	slow, cut, code := c.faults.slow, c.faults.drop.take(operation), c.faults.refused[operation]
	c.mu.Unlock()
	if slow > 0 {
		timer := time.NewTimer(slow)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return errCut
		}
	}
	if cut {
		return errCut
	}
	if code != "" {
		no := refusals()[code]
		no.code = code
		return &no
	}
	return nil
}

func (c *CA) losesAnswer(operation Operation) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.faults.lose.take(operation)
}

// Identity is a [client.Source].
type Identity interface {
	// Status returns the state of now.
	Status() client.Status
}

// Expire lets an identity expire: it refuses enrolments and renewals as unavailable, until
// [CA.Accept], and returns when the certificate is past its end. In a bubble that takes no time;
// elsewhere as long as the certificate has left, so that such a test sets a lifetime of seconds.
// Polls are answered meanwhile.
func (c *CA) Expire(identity Identity) {
	c.Refuse("unavailable", Enrol, Renew)
	for {
		status := identity.Status() // again: a renewal may have been under way
		if status.Expired(time.Now()) {
			return
		}
		time.Sleep(time.Until(status.NotAfter) + time.Millisecond)
	}
}
