package auth

import (
	"context"
	"crypto"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
)

// script is a source that a test writes; it notes when it was asked.
type script struct {
	answer func(ctx context.Context) ([]byte, error)

	mu    sync.Mutex
	times []time.Time
}

func (s *script) fetch(ctx context.Context) ([]byte, error) {
	s.mu.Lock()
	s.times = append(s.times, time.Now())
	s.mu.Unlock()
	return s.answer(ctx)
}

func (s *script) asked() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.times)
}

func TestRunFetchesAtOnceAndThenWithJitter(t *testing.T) {
	good := encode(t, keySet(t, map[string]crypto.Signer{"k1": catest.Key(t, ca.ECDSAP256)}))
	synctest.Test(t, func(t *testing.T) {
		s := &script{answer: func(context.Context) ([]byte, error) { return good, nil }}
		ring := newKeyring(s, 24*time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		go ring.run(ctx, slog.New(slog.DiscardHandler))
		start := time.Now()
		synctest.Wait()
		if asked := s.asked(); len(asked) != 1 || !asked[0].Equal(start) {
			t.Fatalf("asked at %v, started at %v", asked, start)
		}
		time.Sleep(12 * refreshInterval)
		cancel()
		synctest.Wait()
		asked := s.asked()
		if len(asked) < 11 || len(asked) > 14 {
			t.Fatalf("asked %d times in an hour", len(asked))
		}
		distinct := make(map[time.Duration]bool)
		for i := 1; i < len(asked); i++ {
			gap := asked[i].Sub(asked[i-1])
			distinct[gap] = true
			if gap < refreshInterval*9/10 || gap > refreshInterval*11/10 {
				t.Errorf("a pause of %s", gap)
			}
		}
		if len(distinct) < 2 {
			t.Error("the pauses do not vary")
		}
	})
}

func TestRunRetriesAFailedFetchSoonAndThenLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answer: func(context.Context) ([]byte, error) { return nil, errors.New("down") }}
		ring := newKeyring(s, 24*time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		go ring.run(ctx, slog.New(slog.DiscardHandler))
		time.Sleep(time.Hour)
		cancel()
		synctest.Wait()
		asked := s.asked()
		first, last := asked[1].Sub(asked[0]), asked[len(asked)-1].Sub(asked[len(asked)-2])
		if first > 17*time.Second || last < 4*time.Minute {
			t.Errorf("the first pause is %s, the last %s", first, last)
		}
	})
}

func TestRunFollowsAShortMaximumAge(t *testing.T) {
	good := encode(t, keySet(t, map[string]crypto.Signer{"k1": catest.Key(t, ca.ECDSAP256)}))
	synctest.Test(t, func(t *testing.T) {
		s := &script{answer: func(context.Context) ([]byte, error) { return good, nil }}
		ring := newKeyring(s, minKeysMaxAge)
		ctx, cancel := context.WithCancel(t.Context())
		go ring.run(ctx, slog.New(slog.DiscardHandler))
		for range 60 {
			time.Sleep(10 * time.Second)
			if ring.fresh(time.Now()) == nil {
				t.Fatal("keys grew too old while their issuer was up")
			}
		}
		cancel()
		synctest.Wait()
	})
}

// A source that never answers costs a request no more than the time-out, and those who wait
// for the same fetch no more than that together.
func TestASlowSourceIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answer: func(ctx context.Context) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() }}
		ring := newKeyring(s, time.Hour)
		start := time.Now()
		find := func() {
			_, err := ring.find(t.Context(), "k1", "ES256", start)
			if !isReason(err, ReasonUnavailable) {
				t.Errorf("got %v", err)
			}
			if waited := time.Since(start); waited != fetchTimeout {
				t.Errorf("waited %s", waited)
			}
		}
		for range 20 {
			go find()
		}
		synctest.Wait()
		find()
		synctest.Wait()
		if n := len(s.asked()); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

// The request that began a fetch may go away: those that wait for it still get the keys. A
// request that only waits leaves at once.
func TestAFetchOutlivesTheRequestThatBeganIt(t *testing.T) {
	good := encode(t, keySet(t, map[string]crypto.Signer{"k1": catest.Key(t, ca.ECDSAP256)}))
	synctest.Test(t, func(t *testing.T) {
		s := &script{answer: func(ctx context.Context) ([]byte, error) {
			select {
			case <-time.After(5 * time.Second):
				return good, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}}
		ring := newKeyring(s, time.Hour)
		now := time.Now()
		beginner, leave := context.WithCancel(t.Context())
		go ring.find(beginner, "k1", "ES256", now)
		synctest.Wait()
		leave()
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := ring.find(impatient, "k1", "ES256", now); !isReason(err, ReasonUnavailable) {
			t.Errorf("the impatient got %v", err)
		}
		if waited := time.Since(now); waited != time.Second {
			t.Errorf("the impatient waited %s", waited)
		}
		if _, err := ring.find(t.Context(), "k1", "ES256", now); err != nil {
			t.Errorf("the patient got %v", err)
		}
		if waited := time.Since(now); waited != 5*time.Second {
			t.Errorf("the patient waited %s", waited)
		}
	})
}

func TestRunReturnsWhenItsGoroutinesAreGone(t *testing.T) {
	w := newWorld(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
