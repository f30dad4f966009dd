package client

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestANewBundleIsAdoptedAtTheInstantThatItIsPublished(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.open(nil)
		opened := time.Now()
		updates := s.Updates(w.t.Context())
		<-updates
		pass(10 * time.Second)
		before, dials := s.Status(), len(w.net.addresses())
		if !before.Following || before.FollowError != nil || !before.BundleUpdated.Equal(opened) {
			t.Fatalf("status: %+v", before)
		}
		w.publish(8, w.root, newPKI("example.org").root)
		synctest.Wait()
		st := s.Status()
		if st.BundleSequence != 8 || len(s.Roots()) != 2 || st.Serial != before.Serial || !st.BundleUpdated.Equal(time.Now()) {
			t.Fatalf("status: %+v with %d roots", st, len(s.Roots()))
		}
		if update := <-updates; update.BundleSequence != 8 {
			t.Errorf("update: %+v", update)
		}
		if !st.RenewalDue.Equal(before.RenewalDue) || !st.LastSuccess.Equal(before.LastSuccess) {
			t.Errorf("status: %+v, before %+v", st, before)
		}

		// The next poll acknowledges, soon and over the same connection.
		pass(ackSpread)
		polls := w.polled()
		if last := polls[len(polls)-1]; last.After != 8 || last.Peer != st.Serial {
			t.Errorf("last poll: %+v", last)
		}
		if len(w.net.addresses()) != dials || len(w.seen()) != 1 {
			t.Errorf("%d dials and %d calls", len(w.net.addresses())-dials, len(w.seen()))
		}
	})
}

func TestPollsFollowEachOtherOverOneConnection(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.open(nil)
		opened := time.Now()
		pass(10 * time.Minute)
		polls := w.polled()
		if len(polls) != 21 || len(w.net.addresses()) != 2 {
			t.Fatalf("%d polls over %d connections", len(polls), len(w.net.addresses())-1)
		}
		for i, p := range polls {
			at, wait := opened, firstWait
			if i > 0 {
				at, wait = opened.Add(firstWait+time.Duration(i-1)*pollWait), pollWait
			}
			if !p.At.Equal(at) || p.Wait != wait || p.After != 7 || p.Peer != s.Status().Serial {
				t.Errorf("poll %d: %+v, want at %s", i, p, at)
			}
		}
	})
}

func TestANewCertificateAcknowledgesAtOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.open(nil)
		before := s.Status()
		pass(time.Until(before.RenewalDue))
		polls := w.polled()
		last := polls[len(polls)-1]
		if st := s.Status(); last.Peer != st.Serial || st.Serial == before.Serial || !last.At.Equal(before.RenewalDue) || last.After != 7 {
			t.Errorf("last poll: %+v, want of %s at %s", last, st.Serial, before.RenewalDue)
		}
	})
}

func TestMovedWindows(t *testing.T) {
	for name, test := range map[string]struct {
		age   time.Duration // of the certificate when the window is moved
		start time.Duration // of the new window, from then on
		want  time.Duration // until it is renewed; 0: as was due before
	}{
		"to the past":                     {age: 5 * time.Minute, start: -time.Second, want: 1},
		"to the past, for a new one":      {age: 2 * time.Second, start: -time.Second, want: urgentSettle - 2*time.Second},
		"nearer":                          {age: 5 * time.Minute, start: 90 * time.Second, want: 90 * time.Second},
		"further":                         {age: 5 * time.Minute, start: 40 * time.Minute, want: 40 * time.Minute},
		"past the end of the certificate": {age: 5 * time.Minute, start: 2 * time.Hour},
		"before its beginning":            {age: 5 * time.Minute, start: -10 * time.Minute},
		"by nothing":                      {age: 5 * time.Minute},
		"two centuries ago":               {age: 5 * time.Minute, start: -200 * 365 * 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				s := w.open(nil)
				pass(test.age)
				before := s.Status()
				want := before.RenewalDue
				if test.want != 0 {
					want = time.Now().Add(test.want - test.want%time.Second)
				}
				if test.start != 0 {
					start := time.Now().Add(test.start)
					w.change(func() { w.windows[before.Serial] = renewal{Start: start, End: start.Add(time.Minute)} })
				}
				pass(time.Until(want))
				pass(0)
				calls := w.seen()
				if len(calls) != 2 || !calls[1].At.Equal(want) || calls[1].Peer != before.Serial {
					t.Fatalf("%d calls, the last at %s, want 2 and %s", len(calls), calls[len(calls)-1].At, want)
				}
				if st := s.Status(); st.Serial == before.Serial || !st.Following {
					t.Errorf("status: %+v", st)
				}
			})
		})
	}
}

func TestRootsThatDoNotVouchForTheCertificateRenewItAtOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.open(nil)
		pass(5 * time.Minute)
		before, next := s.Status(), newPKI("example.org")
		w.change(func() {
			*w.pki = *next
			w.sequence, w.roots = 8, []*x509.Certificate{next.root}
			w.serveWith(serverID, next) // no old root vouches for the server, either
		})
		synctest.Wait()
		st := s.Status()
		if st.Serial == before.Serial || st.BundleSequence != 8 || !s.Roots()[0].Equal(next.root) || !st.LastSuccess.Equal(time.Now()) {
			t.Fatalf("status: %+v", st)
		}
		pass(time.Minute)
		if st := s.Status(); !st.Following || st.LastError != nil || len(w.seen()) != 2 {
			t.Errorf("status: %+v after %d calls", st, len(w.seen()))
		}
	})
}

func TestRootsThatVouchForNothingAreNotAdopted(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.open(nil)
		pass(5 * time.Minute)
		evil := newPKI("example.org")
		// Renewals go on under the old root, and say so.
		w.change(func() {
			w.edit = func(_ int, _ fakeCall, a *answer) { a.Bundle.Sequence, a.Bundle.Roots = 7, encodePEM(w.root) }
		})
		w.publish(99, evil.root)
		for range 60 {
			pass(time.Minute)
			if _, err := s.Certificate(); err != nil || s.Status().BundleSequence != 7 || !s.Roots()[0].Equal(w.root) {
				t.Fatalf("status: %+v, %v", s.Status(), err)
			}
		}
		st := s.Status()
		if st.Following || st.FollowError == nil || !strings.Contains(st.FollowError.Error(), "bundle 99 is set aside") {
			t.Errorf("status: %+v", st)
		}
		if n := len(w.seen()); n < 3 || n > 2+60/3 {
			t.Errorf("%d calls in an hour", n)
		}
		if n := len(w.polled()); n > 400 {
			t.Errorf("%d polls in an hour", n)
		}
	})
}

func TestTheSequenceNeverGoesBack(t *testing.T) {
	for name, test := range map[string]struct {
		published func(w *world, other *pki) []*x509.Certificate // while a renewal is under way
		fails     bool
	}{
		"a renewal that knows less takes the newer roots over": {published: func(w *world, other *pki) []*x509.Certificate {
			return []*x509.Certificate{w.root, other.root}
		}},
		"a renewal that they do not vouch for fails": {fails: true, published: func(w *world, _ *pki) []*x509.Certificate {
			return []*x509.Certificate{w.root}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				other := newPKI("example.org")
				both := []*x509.Certificate{w.root, other.root}
				s := w.open(nil)
				w.publish(8, both...)
				pass(time.Minute)
				before := s.Status()
				edit := func(n int, c fakeCall, a *answer) {
					if n != 2 {
						return
					}
					*a = w.answerWith(other.sign(leafTemplate(w.id, w.lifetime), c.csr.PublicKey))
					w.publish(9, test.published(w, other)...)
					time.Sleep(2 * time.Second) // the answer is under way, and knows 8
				}
				w.change(func() { w.edit = edit })
				pass(time.Until(before.RenewalDue) + time.Second)
				if st := s.Status(); st.BundleSequence != 9 || st.Serial != before.Serial {
					t.Fatalf("status in between: %+v", st)
				}
				pass(time.Second)
				st := s.Status()
				if st.BundleSequence != 9 || len(s.Roots()) != len(test.published(w, other)) {
					t.Fatalf("status: %+v", st)
				}
				failed := st.LastError != nil && strings.Contains(st.LastError.Error(), "bundle 9, which is known already")
				if (st.Serial == before.Serial) != test.fails || failed != test.fails {
					t.Errorf("status: %+v", st)
				}
				pass(maxBackoff)
				if st := s.Status(); st.Serial == before.Serial || st.LastError != nil {
					t.Errorf("status in the end: %+v", st)
				}
			})
		})
	}
}

func TestAServerThatIsAwayIsFollowedAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		w.lifetime = 24 * time.Hour
		s := w.open(nil)
		pass(time.Minute)
		w.stop()
		synctest.Wait()
		if st := s.Status(); st.Following || st.FollowError == nil || st.LastError != nil {
			t.Fatalf("status: %+v", st)
		}
		from := len(w.net.times())
		pass(time.Hour)
		dialled := w.net.times()[from:]
		if n := len(dialled); n < 60 || n > 400 {
			t.Errorf("%d tries in an hour", n)
		}
		for i := 1; i < len(dialled); i++ {
			if gap := dialled[i].Sub(dialled[i-1]); gap > min(maxBackoff, baseBackoff<<min(i, 10)) {
				t.Errorf("pause %d: %s", i, gap)
			}
		}
		w.up()
		w.publish(8, w.root, newPKI("example.org").root)
		pass(maxBackoff)
		if st := s.Status(); !st.Following || st.FollowError != nil || st.BundleSequence != 8 || len(w.seen()) != 1 {
			t.Errorf("status: %+v", st)
		}
	})
}

func TestAnOldServerIsAskedHourly(t *testing.T) {
	inWorld(t, func(w *world) {
		w.old = true
		s := w.open(nil)
		opened := time.Now()
		pass(3*time.Hour - 1)
		if n := len(w.inVain()); n != 3 || !w.inVain()[0].Equal(opened) || !w.inVain()[2].Equal(opened.Add(2*absentPause)) {
			t.Fatalf("asked at %v", w.inVain())
		}
		if st := s.Status(); st.Following || !errors.Is(st.FollowError, errAbsent) || st.LastError != nil || len(w.seen()) < 5 {
			t.Errorf("status: %+v", st)
		}
		w.change(func() { w.old = false })
		w.publish(8, w.root, newPKI("example.org").root)
		pass(firstWait + 1)
		if st := s.Status(); !st.Following || st.BundleSequence != 8 {
			t.Errorf("status after the upgrade: %+v", st)
		}
	})
}

func TestANewServerBesideAnOldOneIsFollowed(t *testing.T) {
	inWorld(t, func(w *world) {
		stop := w.serve(w.net.listen("second.test:8443"), serverID)
		defer stop()
		w.oldHost = pandoHost
		s := w.open(func(c *Config) { c.Servers = append(c.Servers, "https://second.test:8443") })
		pass(10 * time.Minute)
		if st := s.Status(); !st.Following || len(w.inVain()) != 1 || len(w.polled()) != 21 {
			t.Errorf("status: %+v; %d polls, %d in vain", st, len(w.polled()), len(w.inVain()))
		}
	})
}

func TestAnsweringAtOnceDoesNotHurryTheClient(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pollHook = func(_ int, rw http.ResponseWriter, _ *http.Request, _ fakePoll) bool {
			json.NewEncoder(rw).Encode(trustAnswer{Bundle: w.bundleNow()})
			return true
		}
		w.open(nil)
		pass(10 * time.Minute)
		polls := w.polled()
		if len(polls) < 100 || len(polls) > 122 || len(w.net.addresses()) != 2 {
			t.Errorf("%d polls, %d dials", len(polls), len(w.net.addresses()))
		}
		if !slices.IsSortedFunc(polls[1:], func(a, b fakePoll) int { return int(a.At.Add(minPoll).Sub(b.At)) }) {
			t.Errorf("polls: %+v", polls)
		}
	})
}
