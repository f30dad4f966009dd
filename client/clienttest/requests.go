package clienttest

import (
	"errors"
	"net/http"
	"time"
)

// Request is one request as the CA saw it.
type Request struct {
	At        time.Time // by the clock of the program
	Operation Operation
	ID        string // SPIFFE ID of the token or the client certificate; empty: neither was good
	Serial    string // of the client certificate, as 38 hex digits; empty: none came
	Issued    string // serial number of the certificate that it got; empty: none
	// Code is "ok", the code of a refusal, or "lost" for an answer that was dropped; empty while
	// it has yet to be answered.
	Code string

	// Of a poll.
	After            uint64        // sequence of the bundle that the client is on: its acknowledgement
	Wait             time.Duration // how long the answer may take
	Revocations      bool          // whether it asks for them, after
	RevocationsAfter uint64
	MTLS             bool   // whether it asks for the mTLS policy, other than
	MTLSVersion      string // that one; empty: it has none
}

// maxRequests is how many requests are remembered: a fleet that runs for long in a bubble makes
// many, and a test looks at the last.
const maxRequests = 100_000

// Requests returns what was asked, in the order of arrival; of many the last ones.
func (c *CA) Requests() []Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]Request, len(c.requests))
	for i, r := range c.requests {
		all[i] = *r
	}
	return all
}

// note remembers a request that has arrived.
func (c *CA) note(r *http.Request, operation Operation) *Request {
	request := &Request{At: time.Now(), Operation: operation, Serial: requestSerial(r)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.requests) == maxRequests {
		c.requests = append([]*Request(nil), c.requests[maxRequests/10:]...)
	}
	c.requests = append(c.requests, request)
	return request
}

func (c *CA) answered(request *Request, code string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	request.Code = code
}

// codeOf is how an answer is remembered.
func codeOf(err error) string {
	var no *refusal
	if errors.As(err, &no) {
		return no.code
	}
	return "ok"
}
