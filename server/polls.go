package server

import (
	"sync"
	"time"
)

// PollLimits bounds how many requests may wait for a trust bundle. Each holds a connection
// and some ten KiB of memory. Whoever is refused has been answered before if there was
// something newer, and has acknowledged what there is: it only may not wait.
type PollLimits struct {
	PerIdentity int // by callers with one subject, so by all instances of a workload; 0: 10 000
	InAll       int // 0: 50 000
}

const (
	defaultPollsPerIdentity = 10_000
	defaultPollsInAll       = 50_000
	// retryPoll is when a caller that may not wait is to ask again: how long it would have waited.
	retryPoll = MaxTrustWait
)

// polls counts those who wait, and ends their waiting when the replica stops.
type polls struct {
	limits   PollLimits
	draining chan struct{} // closed when nobody may wait any more
	drain    func()        // closes it, once

	mu    sync.Mutex
	by    map[string]int // by subject
	inAll int
}

func newPolls(limits PollLimits) *polls {
	if limits.PerIdentity <= 0 {
		limits.PerIdentity = defaultPollsPerIdentity
	}
	if limits.InAll <= 0 {
		limits.InAll = defaultPollsInAll
	}
	p := &polls{limits: limits, draining: make(chan struct{}), by: make(map[string]int)}
	p.drain = sync.OnceFunc(func() { close(p.draining) })
	return p
}

// enter admits one more who waits. Who is admitted leaves.
func (p *polls) enter(subject string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.by[subject] >= p.limits.PerIdentity:
		return mayNotWait(KindRateLimited, "rate_limited", "too many requests of this identity are waiting", retryPoll)
	case p.inAll >= p.limits.InAll:
		return mayNotWait(KindUnavailable, "unavailable", "too many requests are waiting", retryPoll)
	}
	p.by[subject]++
	p.inAll++
	return nil
}

func (p *polls) leave(subject string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inAll--
	if p.by[subject]--; p.by[subject] == 0 {
		delete(p.by, subject)
	}
}

func mayNotWait(kind Kind, code, message string, retry time.Duration) *Error {
	return &Error{Kind: kind, Code: code, Message: message, RetryAfter: retry}
}
