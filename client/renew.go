package client

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	// baseBackoff is the most that the first retry waits; each one after it waits up to
	// twice as long. A restart of the CA or a failover of its database takes seconds.
	baseBackoff = time.Second

	// maxBackoff is the most that any retry waits: the fraction of the shortest renewal
	// window in earnest use (6 minutes, for one hour) that leaves several tries in it.
	maxBackoff = time.Minute

	// lastTry is how long before its certificate expires a workload asks again, whatever the
	// server said: time for one exchange that hangs.
	lastTry = exchangeTimeout

	// maxNap is how long the renewal loop sleeps at most. Timers stop while a machine is
	// suspended and do not follow the wall clock when it is set; looking at it this often
	// costs nothing.
	maxNap = time.Minute
)

// run renews the identity until ctx ends.
func (s *Source) run(ctx context.Context) {
	var retry time.Time // not before; carries the monotonic clock
	for {
		now := time.Now()
		cur := s.snapshot.Load()
		wait := max(cur.due(now.Round(0), now.Sub(cur.obtained)), retry.Sub(now))
		if wait > 0 {
			if !s.nap(ctx, min(wait, maxNap)) {
				return
			}
			continue
		}
		next, err := s.successor(ctx, cur, now)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = s.renewed(next)
		}
		s.pando.attempted(err)
		if err != nil {
			retry = time.Now().Add(s.failed(cur, err, time.Now()))
		}
	}
}

// due returns how long to wait before the certificate is to be renewed, 0 or less if it is
// time. wall is the time of day and age the monotonic time since the certificate was
// obtained: if somebody sets the clock, whichever says that it is time is believed, for a
// renewal too early costs less than one too late.
func (s *snapshot) due(wall time.Time, age time.Duration) time.Duration {
	byWall := s.window.start.Sub(wall)
	byAge := s.window.start.Sub(s.obtained.Round(0)) - age
	return max(min(byWall, byAge), s.settle-age)
}

// successor obtains what follows cur: by renewal while it is valid, and by enrolment after
// that, or when the CA will not renew it.
func (s *Source) successor(ctx context.Context, cur *snapshot, now time.Time) (*snapshot, error) {
	if cur.dead(now) {
		return s.pando.enrol(ctx, cur.stranger(), cur.id)
	}
	if s.pando.outdated(cur) {
		next, err := s.pando.enrol(ctx, cur.stranger(), cur.id)
		if err == nil {
			return next, nil
		}
		s.log.Warn("what the configuration asks for has changed, and enrolling for it failed: renewing", "spiffe_id", cur.id, "error", err)
	}
	next, err := s.pando.renew(ctx, cur)
	if isRevoked(err) {
		s.refusedAsRevoked(cur, now)
	}
	if !isFinal(err) || s.pando.credential.read == nil {
		return next, err
	}
	next, enrolErr := s.pando.enrol(ctx, cur.stranger(), cur.id)
	if enrolErr != nil {
		return nil, fmt.Errorf("%w; %w", err, enrolErr)
	}
	return next, nil
}

// backoff returns how long to wait after this many failures in a row, of which err is the
// last: full jitter below a bound that doubles up to limit, and never less than what a
// server asks for.
func backoff(failures int, limit time.Duration, err error) time.Duration {
	if asked := askedToWait(err); asked > 0 {
		// Jitter on top, or all whom one outage turned away would come back at once.
		return asked + rand.N(baseBackoff) //nolint:gosec // jitter is no secret
	}
	bound := baseBackoff << min(failures-1, 10)
	return rand.N(min(bound, max(limit, baseBackoff))) + 1 //nolint:gosec // jitter is no secret
}

// pause returns how long to wait after a failed renewal: as backoff has it, with several
// tries before the certificate expires, however short it lives. What a server asks for is
// kept to the second unless the certificate would be lost over it.
func (s *snapshot) pause(failures int, err error, now time.Time) time.Duration {
	left := s.leaf().NotAfter.Sub(now)
	switch {
	case s.withdrawn != nil && isFinal(err):
		return backoff(failures, refusedPause, err)
	case s.dead(now):
		return backoff(failures, maxBackoff, err)
	}
	wait := backoff(failures, min(maxBackoff, left/4), err)
	return min(wait, max(left-min(lastTry, left/4), baseBackoff))
}

// nap waits for d, or until the snapshot is replaced, and reports whether ctx is still alive.
func (s *Source) nap(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-s.wake:
	case <-timer.C:
	}
	return ctx.Err() == nil
}

// sleep waits for d and reports whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}
