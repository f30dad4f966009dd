package client

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestUpdatesCarryMaterialChanges(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.open(nil)
		ctx, cancel := context.WithCancel(w.t.Context())
		defer cancel()
		updates := s.Updates(ctx)
		first := <-updates
		if first.Serial != s.Status().Serial {
			t.Fatalf("first update: %+v", first)
		}
		w.stop()
		pass(time.Until(first.RenewalDue) + time.Minute)
		select {
		case st := <-updates:
			t.Fatalf("update on a failure: %+v", st)
		default:
		}
		w.up()
		pass(maxBackoff)
		second := <-updates
		if second.Serial == first.Serial || second.Serial != s.Status().Serial {
			t.Errorf("second update: %+v", second)
		}
	})
}

func TestASlowReaderSeesTheLatestUpdate(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.open(nil)
		updates := s.Updates(w.t.Context())
		pass(5 * time.Hour)
		if st := <-updates; st.Serial != s.Status().Serial {
			t.Errorf("update of %s, current is %s", st.NotBefore, s.Status().NotBefore)
		}
		select {
		case st := <-updates:
			t.Errorf("another update: %+v", st)
		default:
		}
	})
}

func TestUpdatesEnd(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.open(nil)
		ctx, cancel := context.WithCancel(w.t.Context())
		byContext, byClose := s.Updates(ctx), s.Updates(w.t.Context())
		cancel()
		synctest.Wait()
		if n := count(byContext); n != 1 {
			t.Errorf("%d updates before the context ended, want 1", n)
		}
		s.Close()
		s.Close()
		if n := count(byClose); n != 1 {
			t.Errorf("%d updates before Close, want 1", n)
		}
		if n := count(s.Updates(w.t.Context())); n != 1 {
			t.Errorf("%d updates of a closed source, want 1", n)
		}
	})
}

func count(updates <-chan Status) (n int) {
	for range updates {
		n++
	}
	return n
}

func TestCloseEndsRenewalAndWaits(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.open(nil)
		w.stop()
		w.net.listen(pandoHost) // accepts nobody: the renewal hangs in dialling
		pass(time.Until(s.Status().RenewalDue) + time.Second)
		begin := time.Now()
		s.Close()
		if took := time.Since(begin); took != 0 {
			t.Errorf("Close took %s", took)
		}
		if _, err := s.Certificate(); err != nil {
			t.Errorf("the identity went with Close: %v", err)
		}
		w.up()
		pass(2 * time.Hour)
		if n := len(w.seen()); n != 1 {
			t.Errorf("%d calls, want none after Close", n-1)
		}
	})
}

func TestTheContextOfOpenBoundsOnlyTheStart(t *testing.T) {
	inWorld(t, func(w *world) {
		ctx, cancel := context.WithCancel(w.t.Context())
		s, err := Open(ctx, w.config())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		cancel()
		before := s.Status()
		pass(time.Until(before.RenewalDue))
		if s.Status().Serial == before.Serial {
			t.Error("not renewed")
		}
	})
}

func TestEachTryIsTold(t *testing.T) {
	inWorld(t, func(w *world) {
		var tried, failed int
		w.open(func(c *Config) {
			c.Metrics = tries(func(err error) {
				tried++
				if err != nil {
					failed++
				}
			})
		})
		if tried != 1 || failed != 0 {
			t.Fatalf("after the start: %d tries, %d failed", tried, failed)
		}
		w.stop()
		pass(40 * time.Minute)
		w.up()
		pass(2 * maxBackoff)
		if failed == 0 || tried != failed+2 {
			t.Errorf("after an outage: %d tries, %d failed", tried, failed)
		}
	})
}
