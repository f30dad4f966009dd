package server_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/server"
)

// polled is the answer to a poll, and when it came.
type polled struct {
	*server.TrustUpdate
	err error
	at  time.Time
}

// poll asks in the background.
func (f *fixture) poll(ctx context.Context, caller policy.Caller, after uint64, wait time.Duration) <-chan polled {
	out := make(chan polled, 1)
	go func() {
		update, err := f.Trust(ctx, caller, server.Known{Bundle: after}, wait)
		out <- polled{update, err, time.Now()}
	}()
	return out
}

// check reports an answer that is not the given one, or that came at another moment.
func (p polled) check(t *testing.T, sequence uint64, changed bool, at time.Time) {
	t.Helper()
	if p.err != nil {
		t.Fatal(p.err)
	}
	if p.Bundle.Sequence != sequence || p.Changed != changed || !p.at.Equal(at) {
		t.Errorf("sequence %d, changed %t, after %s; want %d, %t", p.Bundle.Sequence, p.Changed, p.at.Sub(at), sequence, changed)
	}
}

func (f *fixture) adopt(t testing.TB, set *ca.Set) {
	t.Helper()
	if err := f.Adopt(set, time.Now()); err != nil {
		t.Fatal(err)
	}
}

// TestATrustPollWaitsForNews: each case is what ends a wait that began at second 0, and when.
func TestATrustPollWaitsForNews(t *testing.T) {
	never := func(*testing.T, *fixture, context.CancelFunc) {}
	prepare := func(t *testing.T, f *fixture, _ context.CancelFunc) { f.adopt(t, f.pki.Prepare(t).Set()) }
	for name, c := range map[string]struct {
		after uint64
		wait  time.Duration
		event func(*testing.T, *fixture, context.CancelFunc) // at second 10
		want  uint64                                         // the sequence of the answer
		at    time.Duration
	}{
		"a caller without a bundle waits for nothing":       {0, 20 * time.Second, never, 1, 0},
		"a caller who does not wait is answered":            {1, 0, never, 1, 0},
		"a new root wakes in the same instant":              {1, 20 * time.Second, prepare, 2, 10 * time.Second},
		"the wait ends":                                     {1, 20 * time.Second, never, 1, 20 * time.Second},
		"the wait ends though its end is not far away":      {1, time.Second, prepare, 1, time.Second},
		"nobody waits for an hour":                          {1, time.Hour, never, 1, server.MaxTrustWait},
		"who is ahead of this replica waits":                {9, 20 * time.Second, prepare, 2, 20 * time.Second},
		"a replica that stops lets nobody wait":             {1, 20 * time.Second, func(_ *testing.T, f *fixture, _ context.CancelFunc) { f.Drain() }, 1, 10 * time.Second},
		"a caller who leaves does not wait":                 {1, 20 * time.Second, func(_ *testing.T, _ *fixture, leave context.CancelFunc) { leave() }, 1, 10 * time.Second},
		"a generation with the same roots wakes nobody":     {1, 20 * time.Second, sameRoots, 1, 20 * time.Second},
		"two generations wake with the newest of the roots": {1, 20 * time.Second, twoGenerations, 2, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t)
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				start := time.Now()
				answer := f.poll(ctx, administrator(policy.RoleViewer), c.after, c.wait)
				time.Sleep(10 * time.Second)
				c.event(t, f, leave)
				got := <-answer
				got.check(t, c.want, c.want > c.after, start.Add(c.at))
				if !got.Renewal.Start.IsZero() {
					t.Errorf("a caller without a certificate gets the window %v", got.Renewal)
				}
			})
		})
	}
}

func sameRoots(t *testing.T, f *fixture, _ context.CancelFunc) {
	cfg := f.pki.SetConfig()
	cfg.Generation++
	f.adopt(t, newSet(t, cfg, time.Now()))
}

func twoGenerations(t *testing.T, f *fixture, _ context.CancelFunc) {
	prepared := f.pki.Prepare(t)
	f.adopt(t, prepared.Set())
	f.adopt(t, prepared.Activate(t).Set())
}

func TestAfterADrainNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.Drain()
		f.Drain() // both doors do
		start := time.Now()
		(<-f.poll(t.Context(), administrator(policy.RoleViewer), 1, time.Minute)).check(t, 1, false, start)
		err := f.WatchTrust(t.Context(), administrator(policy.RoleViewer), server.Known{Bundle: 1}, func(*server.TrustUpdate) error { return nil })
		if code(err) != "unavailable" {
			t.Errorf("watching ends with %v", err)
		}
	})
}

// TestATrustAnswerHasTheWindow: it is the one that came with the certificate, also for a replica
// that has to look the certificate up.
func TestATrustAnswerHasTheWindow(t *testing.T) {
	f := newFixture(t)
	issued := f.issue(t, f.enrol(t), request(t))
	caller := f.peer(t, issued)
	for name, replica := range map[string]*fixture{"the same": f, "another": f.replica(t)} {
		update, err := replica.Trust(t.Context(), caller, server.Known{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		if !update.Renewal.Start.Equal(issued.Renewal.Start) || !update.Renewal.End.Equal(issued.Renewal.End) {
			t.Errorf("%s replica gives %v, issued was %v", name, update.Renewal, issued.Renewal)
		}
	}
}

func TestWatchingTellsOfEachBundle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		ctx, leave := context.WithCancel(t.Context())
		sent, ended := make(chan uint64, 10), make(chan error, 1)
		go func() {
			ended <- f.WatchTrust(ctx, administrator(policy.RoleViewer), server.Known{Bundle: 1}, func(u *server.TrustUpdate) error {
				sent <- u.Bundle.Sequence
				return nil
			})
		}()
		expect := func(want ...uint64) {
			t.Helper()
			synctest.Wait()
			for _, sequence := range want {
				if got := <-sent; got != sequence {
					t.Errorf("sequence %d was sent, want %d", got, sequence)
				}
			}
			if len(sent) > 0 {
				t.Errorf("%d more were sent", len(sent))
			}
		}
		expect(1)
		prepared := f.pki.Prepare(t)
		f.adopt(t, prepared.Set())
		expect(2)
		active := prepared.Activate(t)
		f.adopt(t, active.Set())
		expect()
		f.adopt(t, active.Retire(t).Set())
		expect(3)
		leave()
		if err := <-ended; err != nil {
			t.Errorf("a caller who leaves ends it with %v", err)
		}
	})
}

func TestWaitingIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(cfg *server.Config) { cfg.Polls = server.PollLimits{PerIdentity: 2, InAll: 3} })
		one, two := administrator(policy.RoleViewer), administrator(policy.RoleAdmin)
		first, second := f.poll(t.Context(), one, 1, 10*time.Second), f.poll(t.Context(), one, 1, 20*time.Second)
		synctest.Wait()
		if got := <-f.poll(t.Context(), one, 1, time.Second); code(got.err) != "rate_limited" || server.AsError(got.err).RetryAfter <= 0 {
			t.Errorf("a third of one identity gets %v", got.err)
		}
		third := f.poll(t.Context(), two, 1, 20*time.Second)
		synctest.Wait()
		if got := <-f.poll(t.Context(), two, 1, time.Second); code(got.err) != "unavailable" || server.AsError(got.err).RetryAfter <= 0 {
			t.Errorf("a fourth in all gets %v", got.err)
		}
		if got := <-f.poll(t.Context(), two, 0, time.Second); got.err != nil {
			t.Errorf("who need not wait gets %v", got.err)
		}
		<-first // leaves room for another one
		if got := <-f.poll(t.Context(), one, 1, time.Second); got.err != nil {
			t.Errorf("after one has left: %v", got.err)
		}
		<-second
		<-third
	})
}

func TestANegativeWaitIsAMistake(t *testing.T) {
	f := newFixture(t)
	if _, err := f.Trust(t.Context(), administrator(policy.RoleViewer), server.Known{Bundle: 1}, -time.Second); code(err) != "invalid_request" {
		t.Errorf("it gives %v", err)
	}
}
