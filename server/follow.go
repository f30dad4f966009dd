package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/store"
)

// followPeriod is how often a replica looks for a new generation, or new revocations, when
// nobody tells it of them: it bounds what a lost notification costs.
const followPeriod = time.Second

// followTimeout bounds one look, so that a database that has fallen silent is asked again. A
// look that is cut short at reading a million revocations has kept what it has read.
const followTimeout = 5 * time.Second

// followPage is how many revocations are read at once.
const followPage = 10_000

// expirePeriod is how often the replica looks for revocations of expired certificates.
const expirePeriod = time.Minute

// Generations is where a replica reads the authorities from, and is told that they change; the
// stores are.
type Generations interface {
	Generation(ctx context.Context) (*store.Generation, error)
	GenerationNumber(ctx context.Context) (uint64, error)
	Watch(ctx context.Context, changed func()) error
}

// RevocationLog is where a replica reads from what is revoked; the stores are. See
// [store.RevocationLog].
type RevocationLog interface {
	RevocationsSince(ctx context.Context, after uint64, now time.Time, limit int) ([]store.Revocation, error)
	RevocationSequence(ctx context.Context) (uint64, error)
}

// FollowConfig is how a replica follows the generations and the revocations.
type FollowConfig struct {
	Store       Generations
	Revocations RevocationLog
	// Open opens the keys of a generation and verifies it.
	Open func(*store.Generation) (*ca.Set, error)
	// Health is told of every look at the generations: nil when the current one is in use, and
	// otherwise why it cannot be, while the last good one goes on being used. A database that
	// cannot be reached is not reported here. It must not block. None: nothing is told.
	Health func(error)
}

// follower adopts generations for a service, one at a time, and takes in revocations.
type follower struct {
	service *Service
	cfg     FollowConfig
	turn    chan struct{} // holds one value while nobody reads a generation

	mu     sync.Mutex
	broken string // why the current generation cannot be used, as it was logged last
}

// Follow makes each new generation current on this replica, and each revocation, mTLS policy and
// override known to it, within a second of its commit, and wakes those who wait for them. It returns nil once ctx has ended, and an error
// only for a configuration that lacks something. While it runs, a request that finds its
// issuer inactive looks for the new one at once.
func (s *Service) Follow(ctx context.Context, cfg FollowConfig) error {
	if cfg.Store == nil || cfg.Revocations == nil || cfg.Open == nil {
		return errors.New("server: following needs a store, its revocations and a way to open generations")
	}
	if cfg.Health == nil {
		cfg.Health = func(error) {}
	}
	f := &follower{service: s, cfg: cfg, turn: make(chan struct{}, 1)}
	f.turn <- struct{}{}
	s.follower.Store(f)
	told := make(chan struct{}, 1)
	var watching sync.WaitGroup
	watching.Go(func() { f.watch(ctx, told) })
	watching.Go(func() { s.lapseMTLS(ctx) })
	defer watching.Wait()

	ticker, expiry := time.NewTicker(followPeriod), time.NewTicker(expirePeriod)
	defer ticker.Stop()
	defer expiry.Stop()
	for {
		if err := f.look(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "changes not looked at", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-told:
		case <-ticker.C:
		case now := <-expiry.C:
			s.revoked.expire(now)
		}
	}
}

// watch passes on what the store tells, until ctx ends.
func (f *follower) watch(ctx context.Context, told chan<- struct{}) {
	for ctx.Err() == nil {
		err := f.cfg.Store.Watch(ctx, func() {
			select {
			case told <- struct{}{}:
			default:
			}
		})
		if ctx.Err() != nil {
			return
		}
		f.service.log.WarnContext(ctx, "changes are looked for, not told of", "error", err)
		pause(ctx, followPeriod)
	}
}

// look brings this replica up to date.
//
// Revocations are read before the generation and reached
// after it: the number moves with the revocation of an authority, and whoever is told of that
// number must find the generation in which it is revoked.
func (f *follower) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	return errors.Join(f.lookAtTrust(ctx), f.service.refreshMTLS(ctx, time.Now()))
}

func (f *follower) lookAtTrust(ctx context.Context) error {
	sequence, err := f.readRevocations(ctx)
	if err := errors.Join(err, f.lookAtGeneration(ctx)); err != nil {
		return err
	}
	f.service.revoked.reach(sequence)
	return nil
}

// readRevocations reads on from what this replica knows, and returns the number that it has
// come to.
func (f *follower) readRevocations(ctx context.Context) (uint64, error) {
	known := f.service.revoked
	sequence, err := f.cfg.Revocations.RevocationSequence(ctx)
	if err != nil {
		return 0, fmt.Errorf("number of revocations: %w", err)
	}
	switch at := known.view(); {
	case at.loaded && at.sequence == sequence:
		return sequence, nil
	case at.sequence > sequence: // restored from a backup
		f.service.log.WarnContext(ctx, "revocations are read anew: the database knows fewer", "known", at.sequence, "database", sequence)
		known.forget()
	}
	for {
		page, err := f.cfg.Revocations.RevocationsSince(ctx, known.next(), time.Now(), followPage)
		if err != nil {
			return 0, fmt.Errorf("read revocations: %w", err)
		}
		known.add(page)
		if len(page) < followPage {
			return sequence, nil
		}
	}
}

// lookAtGeneration adopts the current generation if this replica has another one.
func (f *follower) lookAtGeneration(ctx context.Context) error {
	number, err := f.cfg.Store.GenerationNumber(ctx)
	if err != nil {
		return fmt.Errorf("number of the generation: %w", err)
	}
	if number == f.service.Set().Generation() {
		f.report(ctx, nil)
		return nil
	}
	return f.adopt(ctx, f.service.Set().Generation())
}

// adopt makes the current generation this replica's, unless that has left stale meanwhile. A
// generation that cannot be used is not an error of adopt: it is reported, and the last one stays.
func (f *follower) adopt(ctx context.Context, stale uint64) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-f.turn:
	}
	defer func() { f.turn <- struct{}{} }()
	if f.service.Set().Generation() != stale {
		return nil
	}
	gen, err := f.cfg.Store.Generation(ctx)
	if err != nil {
		return fmt.Errorf("read generation: %w", err)
	}
	if gen.Number == stale {
		return nil
	}
	set, err := f.cfg.Open(gen)
	if err == nil {
		err = f.service.Adopt(set, time.Now())
	}
	if err != nil {
		err = fmt.Errorf("generation %d cannot be used: %w", gen.Number, err)
	}
	f.report(ctx, err)
	if err == nil {
		f.service.log.InfoContext(ctx, "generation adopted", "generation", set.Generation(),
			"sequence", set.Sequence(), "issuer", set.Issuer().ID())
	}
	return nil
}

// report tells of a look, and writes to the log what is new about it.
func (f *follower) report(ctx context.Context, err error) {
	f.cfg.Health(err)
	text := ""
	if err != nil {
		text = err.Error()
	}
	f.mu.Lock()
	news := text != f.broken
	f.broken = text
	f.mu.Unlock()
	if news && err != nil {
		f.service.log.ErrorContext(ctx, "the last good generation stays in use", "error", err)
	}
}

// catchUp is for a request whose issuer turned out to be inactive: it looks for the generation
// after stale now, instead of at the next look.
func (s *Service) catchUp(ctx context.Context, stale uint64) error {
	f := s.follower.Load()
	if f == nil {
		return store.ErrIssuerInactive
	}
	return f.adopt(ctx, stale)
}
