package client

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTheProgramIsToldOfEvents(t *testing.T) {
	inWorld(t, func(w *world) {
		w.stop()
		var kinds []EventKind
		s := w.begin(func(c *Config) {
			c.Notify = func(e Event) {
				kinds = append(kinds, e.Kind)
				if (e.Err != nil) != (e.Kind == EventFailed) || !errors.Is(e.Status.LastError, e.Err) {
					t.Errorf("event: %+v", e)
				}
			}
		})
		pass(0)
		told := func(want ...EventKind) {
			t.Helper()
			if diff := cmp.Diff(want, kinds); diff != "" {
				t.Errorf("events: %s", diff)
			}
			kinds = nil
		}
		told(EventFailed)
		w.up()
		pass(baseBackoff)
		told(EventRenewed)
		pass(time.Until(s.Status().RenewalDue))
		told(EventRenewed)
		w.publish(8, w.root, newPKI("example.org").root)
		synctest.Wait()
		told(EventTrust)
		w.change(func() { w.tokens = nil }) // nobody enrols
		w.revoke(s.snapshot.Load().leaf())
		pass(time.Second)
		told(EventRevoked)
	})
}

func TestASlowHookDelaysNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		var events []Event
		release := make(chan struct{})
		s := w.open(func(c *Config) {
			c.Notify = func(e Event) {
				if events = append(events, e); len(events) == 1 {
					<-release
				}
			}
		})
		for i := range uint64(150) {
			w.publish(8+i, w.root)
			pass(2 * time.Second)
		}
		if st := s.Status(); st.BundleSequence != 157 || len(events) != 1 {
			t.Fatalf("status: %+v, %d events", st, len(events))
		}
		close(release)
		s.Close() // waits for what is left
		if n := len(events); n != 1+maxEvents || events[1].Status.BundleSequence != 58 || events[n-1].Status.BundleSequence != 157 {
			t.Errorf("%d events, from sequence %d to %d", n, events[1].Status.BundleSequence, events[n-1].Status.BundleSequence)
		}
	})
}

func TestTheHookMayAskTheSource(t *testing.T) {
	inWorld(t, func(w *world) {
		sources := make(chan *Source, 1)
		asked := 0
		sources <- w.begin(func(c *Config) {
			c.Notify = func(Event) {
				s := <-sources
				asked += len(s.Status().Serial) + len(s.Roots())
				sources <- s
			}
		})
		pass(time.Hour)
		if asked == 0 {
			t.Error("it was not told")
		}
	})
}
