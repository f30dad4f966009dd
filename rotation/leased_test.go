package rotation_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/rotation"
	"github.com/pando-ca/pando/store"
)

// oneLease is leases of one name, by the clock of the bubble.
type oneLease struct {
	mu    sync.Mutex
	store modelStore
	away  bool
}

func newOneLease() *oneLease { return &oneLease{store: modelStore{clock: time.Now}} }

func (l *oneLease) AcquireLease(ctx context.Context, name, holder string, ttl time.Duration) (store.Lease, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away {
		return store.Lease{}, errInjected
	}
	return l.store.AcquireLease(ctx, name, holder, ttl)
}

func (l *oneLease) ReleaseLease(ctx context.Context, lease store.Lease) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.store.ReleaseLease(ctx, lease)
}

func (l *oneLease) setAway(away bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.away = away
}

// leased is a job every ten seconds, under a lease of a minute, by one holder.
func leased(t *testing.T, leases store.Leases, holder string, do func(context.Context, store.Fence, time.Time) error) (*rotation.Leased, rotation.Job) {
	t.Helper()
	l, err := rotation.NewLeased(rotation.LeasedConfig{
		Name: "count", Schedule: "@every 10s", Leases: leases, Holder: holder, TTL: time.Minute, Do: do,
	})
	if err != nil {
		t.Fatal(err)
	}
	return l, l.Job()
}

// TestOneReplicaDoesTheWork: the other one takes over when the first is silent for the lease, or
// at once when that gives it up, with a higher term.
func TestOneReplicaDoesTheWork(t *testing.T) {
	for name, c := range map[string]struct {
		release bool
		at      time.Duration // since the last run of the first
	}{
		"that dies":                 {false, time.Minute},
		"that gives its lease back": {true, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				leases, ran := newOneLease(), map[string][]uint64{}
				work := func(holder string) func(context.Context, store.Fence, time.Time) error {
					return func(_ context.Context, fence store.Fence, _ time.Time) error {
						ran[holder] = append(ran[holder], fence.Term)
						return nil
					}
				}
				first, a := leased(t, leases, "a", work("a"))
				_, b := leased(t, leases, "b", work("b"))
				run := func(j rotation.Job) {
					t.Helper()
					if err := j.Do(t.Context(), time.Now()); err != nil {
						t.Error(err)
					}
				}
				for range 10 {
					run(a)
					run(b)
					time.Sleep(10 * time.Second)
				}
				if len(ran["a"]) != 10 || len(ran["b"]) != 0 {
					t.Fatalf("ran %v, want a ten times", ran)
				}
				if c.release {
					if err := first.Release(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				last := time.Now().Add(-10 * time.Second)
				for len(ran["b"]) == 0 {
					run(b)
					time.Sleep(10 * time.Second)
				}
				if got := time.Since(last) - 10*time.Second; got != c.at {
					t.Errorf("b took over after %s, want %s", got, c.at)
				}
				if diff := cmp.Diff([]uint64{2}, ran["b"]); diff != "" {
					t.Errorf("terms of b (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestALongRunKeepsItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leases := newOneLease()
		_, a := leased(t, leases, "a", func(ctx context.Context, _ store.Fence, _ time.Time) error {
			time.Sleep(10 * time.Minute)
			return ctx.Err()
		})
		_, b := leased(t, leases, "b", func(context.Context, store.Fence, time.Time) error {
			t.Error("b works too")
			return nil
		})
		done := make(chan error)
		go func() { done <- a.Do(t.Context(), time.Now()) }()
		for range 50 {
			time.Sleep(10 * time.Second)
			if err := b.Do(t.Context(), time.Now()); err != nil {
				t.Error(err)
			}
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestALostLeaseEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leases := newOneLease()
		_, a := leased(t, leases, "a", func(ctx context.Context, _ store.Fence, _ time.Time) error {
			<-ctx.Done()
			return ctx.Err()
		})
		began := time.Now()
		time.AfterFunc(time.Second, func() { leases.setAway(true) })
		if err := a.Do(t.Context(), time.Now()); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("error %v, want that of the store", err)
		}
		if took := time.Since(began); took != 20*time.Second {
			t.Errorf("it ended after %s, want a third of the lease", took)
		}
		leases.setAway(false)
		failed := errors.New("counting failed")
		_, b := leased(t, leases, "a", func(context.Context, store.Fence, time.Time) error { return failed })
		if err := b.Do(t.Context(), time.Now()); !errors.Is(err, failed) {
			t.Errorf("error %v, want that of the work", err)
		}
	})
}

// TestALeaseOutlivesTheTimeBetweenTwoRuns, whatever the least TTL is: replicas that took turns
// would do the work twice.
func TestALeaseOutlivesTheTimeBetweenTwoRuns(t *testing.T) {
	leases := newOneLease()
	l, err := rotation.NewLeased(rotation.LeasedConfig{
		Name: "count", Schedule: "@hourly", Leases: leases, Holder: "a", TTL: time.Second,
		Do: func(context.Context, store.Fence, time.Time) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Job().Do(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if left := time.Until(leases.store.lease.ExpiresAt); left < 119*time.Minute {
		t.Errorf("the lease runs out in %s", left)
	}
	if _, err := rotation.NewLeased(rotation.LeasedConfig{Name: "count", Schedule: "@hourly"}); err == nil {
		t.Error("a configuration that lacks all else is accepted")
	}
}
