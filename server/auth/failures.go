package auth

import (
	"net/netip"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

const (
	defaultFailureRate  = 10
	defaultFailureBurst = 50

	// failureAddresses bounds the memory at some megabytes. An attacker who commands more
	// addresses than this starts anew with each: the limit is against load, not against guessing.
	failureAddresses = 20_000

	// failurePrefix is the part of an IPv6 address that is one customer's (RFC 6177).
	failurePrefix = 64
)

// failures bounds how many refused credentials one address may show. Only refusals take from
// a bucket, and what is counted is counted after the fact: requests that are being judged at
// the same time may exceed the burst by their number.
type failures struct {
	rate    rate.Limit
	burst   int
	buckets *lru.Cache[netip.Prefix, *rate.Limiter]
}

// newFailures returns nil, which limits nothing, for a negative rate.
func newFailures(perSecond float64, burst int) *failures {
	if perSecond < 0 {
		return nil
	}
	if perSecond == 0 {
		perSecond = defaultFailureRate
	}
	if burst <= 0 {
		burst = defaultFailureBurst
	}
	buckets, err := lru.New[netip.Prefix, *rate.Limiter](failureAddresses)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &failures{rate: rate.Limit(perSecond), burst: burst, buckets: buckets}
}

// wait is how long an address has to wait until it is heard again; 0: it is heard now.
func (f *failures) wait(address string, now time.Time) time.Duration {
	if f == nil {
		return 0
	}
	bucket, ok := f.buckets.Get(failureKey(address))
	if !ok {
		return 0
	}
	missing := 1 - bucket.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	return max(time.Millisecond, time.Duration(missing/float64(f.rate)*float64(time.Second)))
}

// count takes a refusal from the bucket of an address.
func (f *failures) count(address string, now time.Time) {
	if f == nil {
		return
	}
	fresh := rate.NewLimiter(f.rate, f.burst)
	bucket, found, _ := f.buckets.PeekOrAdd(failureKey(address), fresh)
	if !found {
		bucket = fresh
	}
	bucket.AllowN(now, 1)
}

// failureKey is what an address counts as: itself, or its network for IPv6. All texts that
// are no address count as one.
func failureKey(address string) netip.Prefix {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}
	}
	addr = addr.Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() {
		bits = failurePrefix
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}
