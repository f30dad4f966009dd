package server

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// limiter bounds how often one caller may ask. It remembers the callers of late only: one
// that was pushed out starts with a full bucket, which an attacker with that many proven
// identities gains little from.
type limiter struct {
	rate    rate.Limit
	burst   int
	buckets *lru.Cache[string, *rate.Limiter]
}

const limiterCallers = 50_000

// newLimiter returns nil, which limits nothing, for a rate of zero.
func newLimiter(perSecond float64, burst int) *limiter {
	if perSecond <= 0 {
		return nil
	}
	if burst <= 0 {
		burst = max(1, int(perSecond))
	}
	buckets, err := lru.New[string, *rate.Limiter](limiterCallers)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &limiter{rate: rate.Limit(perSecond), burst: burst, buckets: buckets}
}

// take admits n certificates for a caller, or says when to come back. A batch may exceed the
// burst once, when the bucket is full, and is paid back by waiting.
func (l *limiter) take(caller string, n int, now time.Time) error {
	if l == nil {
		return nil
	}
	bucket, ok := l.buckets.Get(caller)
	if !ok {
		fresh := rate.NewLimiter(l.rate, l.burst)
		if earlier, found, _ := l.buckets.PeekOrAdd(caller, fresh); found {
			fresh = earlier
		}
		bucket = fresh
	}
	reservation := bucket.ReserveN(now, min(n, l.burst))
	delay := reservation.DelayFrom(now)
	if delay == 0 {
		for owed := n - l.burst; owed > 0; owed -= l.burst {
			bucket.ReserveN(now, min(owed, l.burst)) // what it goes below zero, later calls wait for
		}
		return nil
	}
	reservation.CancelAt(now)
	return &Error{
		Kind: KindRateLimited, Code: "rate_limited", Message: "too many requests by this identity",
		RetryAfter: delay,
	}
}
