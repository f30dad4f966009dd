package server_test

import (
	"context"
	"encoding/hex"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
)

// sequence makes a known sequence of revocations.
func sequence(n uint64) server.Known { return server.Known{Bundle: 1, Revocations: &n} }

// pollFor asks in the background.
func (f *fixture) pollFor(ctx context.Context, caller policy.Caller, known server.Known, wait time.Duration) <-chan polled {
	out := make(chan polled, 1)
	go func() {
		update, err := f.Trust(ctx, caller, known, wait)
		out <- polled{update, err, time.Now()}
	}()
	return out
}

// following is a fixture and another replica, which both follow the store; the other one's
// watch is wrapped.
func following(t *testing.T, wrap func(server.Generations) server.Generations) (f, other *fixture) {
	t.Helper()
	f = newFixture(t)
	other = f.replica(t)
	f.commit(t, f.pki)
	f.follow(t, f.store, newOpeners(f.pki))
	other.follow(t, wrap(f.store), newOpeners(f.pki))
	synctest.Wait()
	return f, other
}

// TestARevocationReachesEveryReplica, and who waits there, at once when it is told and within a
// second when it is not. The holder is refused before anything is signed.
func TestARevocationReachesEveryReplica(t *testing.T) {
	for name, c := range map[string]struct {
		wrap   func(server.Generations) server.Generations
		within time.Duration
	}{
		"that is told":                  {func(g server.Generations) server.Generations { return g }, 0},
		"that is told nothing":          {func(g server.Generations) server.Generations { return untold{Generations: g} }, time.Second},
		"whose connection breaks often": {func(g server.Generations) server.Generations { return untold{g, store.ErrUnavailable} }, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, other := following(t, c.wrap)
				issued := f.issue(t, administrator(policy.RoleOperator), request(t, workload))
				holder := f.peer(t, issued)
				time.Sleep(300 * time.Millisecond)
				follower := other.pollFor(t.Context(), administrator(policy.RoleViewer), sequence(0), server.MaxTrustWait)
				own := other.pollFor(t.Context(), holder, server.Known{Bundle: 1}, server.MaxTrustWait)
				deaf := other.pollFor(t.Context(), administrator(policy.RoleViewer), server.Known{Bundle: 1}, 5*time.Second)
				synctest.Wait()
				start := time.Now()
				if _, err := f.RevokeCertificate(t.Context(), administrator(policy.RoleOperator), issued.Serial, ""); err != nil {
					t.Fatal(err)
				}
				got := <-follower
				if got.err != nil || got.at.Sub(start) > c.within || got.Revocations == nil {
					t.Fatalf("after %s: %+v", got.at.Sub(start), got)
				}
				r := got.Revocations
				if len(r.Serials) != 1 || r.Serials[0].String() != issued.Serial || r.Sequence == 0 || r.More || r.Reset {
					t.Errorf("the answer is %+v", r)
				}
				if got := <-own; code(got.err) != "revoked" || got.at.Sub(start) > c.within {
					t.Errorf("the holder is told %v after %s", got.err, got.at.Sub(start))
				}
				if got := <-deaf; got.err != nil || got.Revocations != nil || got.at.Sub(start) != 5*time.Second {
					t.Errorf("who does not ask is told %+v after %s", got.TrustUpdate, got.at.Sub(start))
				}
				other.out.before = context.DeadlineExceeded // nothing comes so far
				if _, err := other.Renew(t.Context(), holder, request(t)); code(err) != "revoked" {
					t.Errorf("a renewal gives %v", err)
				}
				if _, err := other.Trust(t.Context(), holder, server.Known{}, 0); code(err) != "revoked" {
					t.Errorf("a poll gives %v", err)
				}
				if _, err := other.IssueBatch(t.Context(), holder, []server.Request{request(t)}); code(err) != "revoked" {
					t.Errorf("a batch gives %v", err)
				}
			})
		})
	}
}

// backup is a log that a test can set back.
type backup struct {
	server.RevocationLog
	lost atomic.Bool // knows of nothing
}

func (b *backup) RevocationSequence(ctx context.Context) (uint64, error) {
	if b.lost.Load() {
		return 3, nil
	}
	return b.RevocationLog.RevocationSequence(ctx)
}

func (b *backup) RevocationsSince(ctx context.Context, after uint64, now time.Time, limit int) ([]store.Revocation, error) {
	if b.lost.Load() {
		return nil, nil
	}
	return b.RevocationLog.RevocationsSince(ctx, after, now, limit)
}

// TestARestoredDatabaseResetsFollowers: what it does not know is not revoked any more.
func TestARestoredDatabaseResetsFollowers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		log := &backup{RevocationLog: f.store}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		f.commit(t, f.pki)
		go func() {
			done <- f.Follow(ctx, server.FollowConfig{Store: f.store, Revocations: log, Open: newOpeners(f.pki).open})
		}()
		issued := f.issue(t, administrator(policy.RoleOperator), request(t, workload))
		if _, err := f.RevokeCertificate(t.Context(), administrator(policy.RoleOperator), issued.Serial, ""); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		before := <-f.pollFor(t.Context(), administrator(policy.RoleViewer), sequence(0), 0)
		if before.Revocations == nil || len(before.Revocations.Serials) != 1 {
			t.Fatalf("before: %+v", before)
		}
		log.lost.Store(true)
		waiting := f.pollFor(t.Context(), administrator(policy.RoleViewer), sequence(before.Revocations.Sequence), server.MaxTrustWait)
		got := <-waiting
		if got.Revocations == nil || !got.Revocations.Reset || got.at.Sub(before.at) > 2*time.Second {
			t.Errorf("after %s: %+v", got.at.Sub(before.at), got.Revocations)
		}
		time.Sleep(2 * time.Second)
		got = <-f.pollFor(t.Context(), administrator(policy.RoleViewer), sequence(before.Revocations.Sequence), 0)
		if diff := cmp.Diff(&server.Revocations{Sequence: 3, Reset: true}, got.Revocations, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("later (-want +got):\n%s", diff)
		}
		if _, err := f.Trust(t.Context(), f.peer(t, issued), server.Known{}, 0); err != nil {
			t.Errorf("whose revocation is lost is refused: %v", err)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestAReplicaThatIsBehindResetsNobody: the caller has been told by another one, which was faster.
func TestAReplicaThatIsBehindResetsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, other := following(t, func(g server.Generations) server.Generations { return untold{Generations: g} })
		issued := f.issue(t, administrator(policy.RoleOperator), request(t, workload))
		time.Sleep(100 * time.Millisecond)
		if _, err := f.RevokeCertificate(t.Context(), administrator(policy.RoleOperator), issued.Serial, ""); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		known := (<-f.pollFor(t.Context(), administrator(policy.RoleViewer), sequence(0), 0)).Revocations
		for _, wait := range []time.Duration{0, 3 * time.Second} {
			start := time.Now()
			got := <-other.pollFor(t.Context(), administrator(policy.RoleViewer), sequence(known.Sequence), wait)
			if diff := cmp.Diff(&server.Revocations{Sequence: known.Sequence}, got.Revocations, cmpopts.EquateEmpty()); diff != "" || got.at.Sub(start) != wait {
				t.Errorf("after %s (-want +got):\n%s", got.at.Sub(start), diff)
			}
		}
	})
}

// TestRevokedAuthoritiesAndMovedWindowsWake who waits.
func TestRevokedAuthoritiesAndMovedWindowsWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.commit(t, f.pki)
		f.follow(t, f.store, newOpeners(f.pki))
		synctest.Wait()
		holder := f.peer(t, f.issue(t, administrator(policy.RoleOperator), request(t, workload)))
		start := time.Now()
		window := f.poll(t.Context(), holder, 1, 20*time.Second)
		viewer := f.pollFor(t.Context(), administrator(policy.RoleViewer), sequence(0), 20*time.Second)
		synctest.Wait()
		const between = 3500 * time.Millisecond // two looks of the replica, each of which goes back to what is committed
		time.Sleep(between)

		moved := f.pki.SetConfig()
		moved.Generation, moved.WindowKey = 2, []byte("another window key of this PKI")
		f.adopt(t, newSet(t, moved, time.Now()))
		got := <-window
		got.check(t, 1, false, start.Add(between))
		time.Sleep(time.Second)

		sibling := newIntermediate(t, moved)
		sibling.State = ca.StateRevoked
		moved.Generation, moved.Authorities = 3, append(moved.Authorities, sibling)
		f.adopt(t, newSet(t, moved, time.Now()))
		update := <-viewer
		update.check(t, 1, false, start.Add(between+time.Second))
		hash, err := ca.HashPublicKey(sibling.Signer.Public())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{hex.EncodeToString(hash[:])}, update.Revocations.Authorities); diff != "" {
			t.Errorf("authorities (-want +got):\n%s", diff)
		}
	})
}
