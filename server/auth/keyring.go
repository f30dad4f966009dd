package auth

import (
	"context"
	"crypto"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// refreshInterval is how often keys are fetched when nothing asks for them: a key that an
	// issuer withdraws is refused here after this at the latest.
	refreshInterval = 5 * time.Minute

	// retryInterval is the first pause after a failed fetch; it doubles up to refreshInterval.
	retryInterval = 15 * time.Second

	// minFetchInterval is the least time between the starts of two fetches, whatever asks for
	// them: a flood of unknown key IDs costs an issuer six fetches a minute.
	minFetchInterval = 10 * time.Second

	// fetchTimeout bounds one fetch, with discovery. Requests may be waiting for it.
	fetchTimeout = 10 * time.Second

	// jitter is the part of an interval by which it varies, so that replicas that were started
	// together do not fetch together.
	jitter = 0.2
)

// source reads a JWK Set. It is not called concurrently, and returns soon after ctx ends.
type source interface {
	fetch(ctx context.Context) ([]byte, error)
}

// keyring holds the keys of one issuer.
//
// keyfunc, and the HTTP storage of jwkset beneath it, do this too, but cannot be held to our
// limits: they read a body of any size, take private and symmetric keys, replace good keys by
// an empty set, follow what the client follows, know no age after which a key is too old, and
// make each request with an unknown key ID wait for its turn to fetch. So this fetches with
// net/http, and only a single key is parsed by jwkset.
type keyring struct {
	source source
	maxAge time.Duration

	// Swapped as a whole; nil until the first fetch has succeeded.
	current atomic.Pointer[keySnapshot]

	mu        sync.Mutex
	inFlight  *fetching // nil: none
	attempted time.Time // start of the last fetch
	failure   error     // of the last fetch
}

// keySnapshot is what one fetch brought.
type keySnapshot struct {
	keys      []publicKey
	fetchedAt time.Time
}

// fetching is a fetch that is under way. err is valid once done is closed.
type fetching struct {
	done chan struct{}
	err  error
}

func newKeyring(s source, maxAge time.Duration) *keyring {
	return &keyring{source: s, maxAge: maxAge}
}

// find returns the key that a token's header names. A key ID that is not known is looked for
// once more, after a fetch.
func (k *keyring) find(ctx context.Context, kid, alg string, now time.Time) (crypto.PublicKey, error) {
	if set := k.fresh(now); set != nil {
		key, err := set.find(kid, alg)
		if kid == "" || !isReason(err, ReasonJWTKey) {
			return key, err
		}
	}
	// The fetch is for all who wait: it goes on when the request that began it is gone.
	err := k.refresh(ctx, context.WithoutCancel(ctx), now)
	set := k.fresh(now)
	if set == nil {
		return nil, unavailableKeys(err)
	}
	key, missing := set.find(kid, alg)
	if isReason(missing, ReasonJWTKey) && err != nil {
		return nil, unavailableKeys(err) // it may be a new key, and nobody can tell
	}
	return key, missing
}

// fresh returns the keys unless there are none that are young enough.
func (k *keyring) fresh(now time.Time) *keySnapshot {
	set := k.current.Load()
	if set == nil || now.Sub(set.fetchedAt) > k.maxAge {
		return nil
	}
	return set
}

func unavailableKeys(err error) error {
	return &Error{
		Reason: ReasonUnavailable, Message: "the keys of the JWT's issuer cannot be fetched now",
		RetryAfter: minFetchInterval, Err: err,
	}
}

// find returns the one key of the set that is meant by a key ID and an algorithm. Without a
// key ID there must be only one that fits: trying each in turn would let one token cost
// many verifications.
func (s *keySnapshot) find(kid, alg string) (crypto.PublicKey, error) {
	var found crypto.PublicKey
	known, fitting := false, 0
	for i := range s.keys {
		key := &s.keys[i]
		if kid != "" && key.id != kid {
			continue
		}
		known = true
		if (key.alg == "" || key.alg == alg) && fits(alg, key.public) {
			found = key.public
			fitting++
		}
	}
	switch {
	case fitting == 1:
		return found, nil
	case kid == "":
		return nil, refuse(ReasonJWTKey, "the JWT has no kid, and its issuer does not have exactly one key for its algorithm")
	case fitting > 1:
		return nil, refuse(ReasonJWTAlgorithm, "the JWT's issuer has several keys with the JWT's kid")
	case known:
		return nil, refuse(ReasonJWTAlgorithm, "the JWT's algorithm does not fit the key that it names")
	}
	return nil, refuse(ReasonJWTKey, "the JWT's issuer has no key with the JWT's kid")
}

// refresh fetches the keys unless that was tried a moment ago. It waits while ctx lasts; a
// fetch that it begins itself is done under work, for all who come to wait for it.
func (k *keyring) refresh(ctx, work context.Context, now time.Time) error {
	f, begun := k.begin(now)
	switch {
	case f == nil:
		return k.lastFailure()
	case begun:
		return k.fetch(work, f, now)
	}
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begin returns the fetch to wait for and whether the caller has to do it, or nil if the last
// one was too short a time ago.
func (k *keyring) begin(now time.Time) (f *fetching, begun bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.inFlight != nil {
		return k.inFlight, false
	}
	if !k.attempted.IsZero() && now.Sub(k.attempted) < minFetchInterval {
		return nil, false
	}
	k.inFlight = &fetching{done: make(chan struct{})}
	k.attempted = now
	return k.inFlight, true
}

func (k *keyring) lastFailure() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.failure
}

// fetch does a fetch that begin returned. Keys that were good stay when it fails.
func (k *keyring) fetch(ctx context.Context, f *fetching, now time.Time) (err error) {
	defer func() {
		k.mu.Lock()
		k.inFlight, k.failure = nil, err
		k.mu.Unlock()
		f.err = err
		close(f.done)
	}()
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	data, err := k.source.fetch(ctx)
	if err != nil {
		return err
	}
	keys, err := parseKeySet(data)
	if err != nil {
		return err
	}
	k.current.Store(&keySnapshot{keys: keys, fetchedAt: now})
	return nil
}

// run fetches the keys now and then again and again until ctx ends.
func (k *keyring) run(ctx context.Context, log *slog.Logger) {
	interval := min(refreshInterval, k.maxAge/4)
	retry := min(retryInterval, interval)
	for ctx.Err() == nil {
		pause := interval
		if err := k.refresh(ctx, ctx, time.Now()); err != nil && ctx.Err() == nil {
			log.WarnContext(ctx, "keys of a JWT issuer not fetched", "error", err)
			pause = retry
			retry = min(2*retry, interval)
		} else {
			retry = min(retryInterval, interval)
		}
		timer := time.NewTimer(jittered(pause))
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
}

func jittered(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 + jitter*(rand.Float64()-0.5))) //nolint:gosec // spreads load; nothing depends on its being unknown
}
