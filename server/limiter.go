package server

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"github.com/pando-ca/pando/ca/policy"
)

// limit admits n certificates for a caller: for the identity first, and then for the address,
// behind which others may be.
func (s *Service) limit(caller policy.Caller, n int, now time.Time) error {
	if err := s.identities.take(caller.Subject, n, now); err != nil {
		return err
	}
	if caller.Address == "" {
		return nil // Pando itself
	}
	return s.addresses.take(caller.Address, n, now)
}

// limiter bounds how often one identity, or one address, may ask. It remembers those of late
// only: one that was pushed out starts with a full bucket, which an attacker with that many
// proven identities gains little from.
type limiter struct {
	of      string // what is limited, for people
	rate    rate.Limit
	burst   int
	buckets *lru.Cache[string, *rate.Limiter]
}

const limiterKeys = 50_000

// newLimiter returns nil, which limits nothing, for a rate of zero.
func newLimiter(of string, perSecond float64, burst int) *limiter {
	if perSecond <= 0 {
		return nil
	}
	if burst <= 0 {
		burst = max(1, int(perSecond))
	}
	buckets, err := lru.New[string, *rate.Limiter](limiterKeys)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &limiter{of: of, rate: rate.Limit(perSecond), burst: burst, buckets: buckets}
}

// take admits n certificates for a key, or says when to come back. A batch may exceed the
// burst once, when the bucket is full, and is paid back by waiting.
func (l *limiter) take(key string, n int, now time.Time) error {
	if l == nil {
		return nil
	}
	bucket, ok := l.buckets.Get(key)
	if !ok {
		fresh := rate.NewLimiter(l.rate, l.burst)
		if earlier, found, _ := l.buckets.PeekOrAdd(key, fresh); found {
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
		Kind: KindRateLimited, Code: "rate_limited", Message: "too many requests by this " + l.of,
		RetryAfter: delay,
	}
}
