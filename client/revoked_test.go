package client

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// knowing makes a fixed Source know what is revoked.
func (s *Source) knowing(certs []*x509.Certificate, authorities ...*x509.Certificate) {
	l := &revocationList{Sequence: 1}
	for _, cert := range certs {
		n, _ := serialOf(cert)
		l.Serials = append(l.Serials, n)
	}
	for _, cert := range authorities {
		l.Authorities = append(l.Authorities, keyIDOf(cert))
	}
	next, _, err := s.snapshot.Load().after(l, time.Now())
	if err != nil {
		panic(err)
	}
	s.snapshot.Store(next)
}

func TestRevokedPeersAreRefusedByBothSides(t *testing.T) {
	old, next := newPKI("example.org"), newPKI("example.org")
	crossed := next.crossed(old)
	other := newPKI("example.org")
	for name, test := range map[string]struct {
		presenter *pki
		holds     []*pki
		revoked   func(leaf *x509.Certificate) (certs, authorities []*x509.Certificate)
		want      string // in the error; empty: accepted
	}{
		"nothing is revoked": {presenter: old, holds: []*pki{old}, revoked: func(*x509.Certificate) (_, _ []*x509.Certificate) { return nil, nil }},
		"the leaf is": {presenter: old, holds: []*pki{old}, want: "serial number ",
			revoked: func(leaf *x509.Certificate) (_, _ []*x509.Certificate) { return []*x509.Certificate{leaf}, nil }},
		"another leaf is": {presenter: old, holds: []*pki{old},
			revoked: func(*x509.Certificate) (_, _ []*x509.Certificate) {
				return other.sign(leafTemplate("spiffe://example.org/peer", time.Hour), newTestKey().Public())[:1], nil
			}},
		"its issuer is": {presenter: old, holds: []*pki{old}, want: "authority " + authorityID(old.issuer),
			revoked: func(*x509.Certificate) (_, _ []*x509.Certificate) { return nil, []*x509.Certificate{old.issuer} }},
		"its root is": {presenter: old, holds: []*pki{old}, want: "authority " + authorityID(old.root),
			revoked: func(*x509.Certificate) (_, _ []*x509.Certificate) { return nil, []*x509.Certificate{old.root} }},
		"another authority is": {presenter: old, holds: []*pki{old},
			revoked: func(*x509.Certificate) (_, _ []*x509.Certificate) {
				return nil, []*x509.Certificate{other.root, other.issuer}
			}},
		"the old root is, and the new one is known": {presenter: crossed, holds: []*pki{old, next},
			revoked: func(*x509.Certificate) (_, _ []*x509.Certificate) { return nil, []*x509.Certificate{old.root} }},
		"the old root is, and nothing else is known": {presenter: crossed, holds: []*pki{old}, want: "authority " + authorityID(old.root),
			revoked: func(*x509.Certificate) (_, _ []*x509.Certificate) { return nil, []*x509.Certificate{old.root} }},
		"the key of the cross-certificate is": {presenter: crossed, holds: []*pki{old}, want: "authority " + authorityID(crossed.cross),
			revoked: func(*x509.Certificate) (_, _ []*x509.Certificate) { return nil, []*x509.Certificate{next.root} }},
		"the key of the new root is, both are known": {presenter: crossed, holds: []*pki{old, next}, want: ErrRevoked.Error(),
			revoked: func(*x509.Certificate) (_, _ []*x509.Certificate) { return nil, []*x509.Certificate{next.root} }},
	} {
		t.Run(name, func(t *testing.T) {
			holder := fixed(rootsOf(1, test.holds...), other.identity(leafTemplate("spiffe://example.org/web", time.Hour)))
			peer := fixed(rootsOf(1, old, next, other), test.presenter.identity(leafTemplate("spiffe://example.org/peer", time.Hour)))
			certs, authorities := test.revoked(peer.snapshot.Load().leaf())
			holder.knowing(certs, authorities...)
			_, _, serverErr := handshake(named(peer.ClientTLS(anyone)), holder.ServerTLS(anyone))
			_, clientErr, _ := handshake(named(holder.ClientTLS(anyone)), peer.ServerTLS(anyone))
			for side, err := range map[string]error{"server": serverErr, "client": clientErr} {
				switch {
				case test.want == "" && err != nil:
					t.Errorf("%s: %v", side, err)
				case test.want != "" && (!errors.Is(err, ErrRevoked) || !strings.Contains(err.Error(), test.want) ||
					!strings.Contains(err.Error(), "spiffe://example.org/peer")):
					t.Errorf("%s: error %v, want one with %q", side, err, test.want)
				}
			}
		})
	}
}

func TestRevocationsCostNoAllocation(t *testing.T) {
	p := newPKI("example.org")
	s := fixed(rootsOf(1, p), p.identity(leafTemplate("spiffe://example.org/web", time.Hour)))
	s.knowing(nil, newPKI("example.org").root)
	cur := s.snapshot.Load()
	chains := [][]*x509.Certificate{{cur.leaf(), p.issuer, p.root}}
	if n := testing.AllocsPerRun(100, func() {
		if cur.revoked.leaf(cur.leaf()) != nil {
			t.Fatal("revoked")
		}
		if _, err := cur.revoked.unbroken(chains); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// peerOf returns a Source that a peer has, which knows the roots of w and nobody's revocation.
func (w *world) peerOf(id string) *Source {
	return fixed(rootsOf(7, w.pki), w.identity(leafTemplate(id, time.Hour)))
}

// shake returns what the accepting side of a handshake says.
func shake(client, server *tls.Config) error {
	here, there := net.Pipe()
	_, _, err := handshakeOver(here, there, named(client), server)
	return err
}

func TestARevocationIsEnforcedAtTheInstantThatItIsPublished(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.open(nil)
		peer, healthy := w.peerOf("spiffe://example.org/peer"), w.peerOf("spiffe://example.org/healthy")
		updates := s.Updates(w.t.Context())
		<-updates
		pass(10 * time.Second)
		before, held := s.Status(), s.snapshot.Load()
		if err := shake(peer.ClientTLS(anyone), s.ServerTLS(anyone)); err != nil {
			t.Fatal(err)
		}
		w.revoke(peer.snapshot.Load().leaf())
		synctest.Wait()
		if err := shake(peer.ClientTLS(anyone), s.ServerTLS(anyone)); !errors.Is(err, ErrRevoked) {
			t.Errorf("handshake: %v", err)
		}
		if err := shake(healthy.ClientTLS(anyone), s.ServerTLS(anyone)); err != nil {
			t.Errorf("a healthy peer: %v", err)
		}
		st := s.Status()
		if st.Revoked || st.RevokedCertificates != 1 || st.RevocationSequence != 1 || !st.RevocationsUpdated.Equal(time.Now()) || !st.Following {
			t.Errorf("status: %+v", st)
		}
		cur := s.snapshot.Load()
		if !st.RenewalDue.Equal(before.RenewalDue) || cur.settle != held.settle || cur.window != held.window || cur.trust != held.trust {
			t.Errorf("renewal was disturbed: %+v, before %+v", st, before)
		}
		select {
		case st := <-updates:
			t.Errorf("update: %+v", st)
		default:
		}
		// The next one is learned as soon.
		pass(ackSpread)
		w.revoke(healthy.snapshot.Load().leaf())
		synctest.Wait()
		if err := shake(healthy.ClientTLS(anyone), s.ServerTLS(anyone)); !errors.Is(err, ErrRevoked) {
			t.Errorf("the second: %v", err)
		}
		// And what is known outlives a renewal.
		pass(time.Until(st.RenewalDue))
		if st := s.Status(); st.Serial == before.Serial || st.RevokedCertificates != 2 {
			t.Errorf("status after a renewal: %+v", st)
		}
		if polls := w.polled(); polls[len(polls)-1].RevokedPast != 2 {
			t.Errorf("last poll: %+v", polls[len(polls)-1])
		}
	})
}

func TestALongListComesInParts(t *testing.T) {
	inWorld(t, func(w *world) {
		w.page = 10_000 // the most that the CA puts into an answer
		for range 25_000 {
			w.serials = append(w.serials, randomSerial(time.Now().Add(time.Hour)))
		}
		s := w.open(nil)
		opened := time.Now()
		synctest.Wait()
		if st := s.Status(); st.RevokedCertificates != 25_000 || st.RevocationSequence != 25_000 || !time.Now().Equal(opened) {
			t.Fatalf("status: %+v after %s", st, time.Since(opened))
		}
		var cursors []uint64
		for _, p := range w.polled() {
			cursors = append(cursors, p.RevokedPast)
		}
		if got := fmt.Sprint(cursors); got != "[0 10000 20000]" {
			t.Errorf("cursors: %s", got)
		}
	})
}

func TestPartsWithoutEndDoNotMakeALoop(t *testing.T) {
	for name, test := range map[string]struct {
		list  func(n int) revocationList
		first int // polls in ten seconds, at most
	}{
		"of nothing":               {func(n int) revocationList { return revocationList{Sequence: uint64(n)} }, maxPages + 4},
		"without coming forward":   {func(int) revocationList { return revocationList{Sequence: 7} }, 5},
		"that always begin anew":   {func(int) revocationList { return revocationList{Sequence: 7, Reset: true} }, 5},
		"anew, and in between not": {func(n int) revocationList { return revocationList{Sequence: uint64(n % 2), Reset: n%2 == 0} }, maxPages + 4},
		"of one certificate at a time": {func(n int) revocationList {
			return revocationList{Sequence: uint64(n), Serials: []serial{randomSerial(time.Now().Add(time.Hour))}}
		}, maxPages + 30},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.pollHook = func(n int, rw http.ResponseWriter, _ *http.Request, _ fakePoll) bool {
					l := test.list(n)
					l.More = true
					json.NewEncoder(rw).Encode(trustAnswer{Bundle: w.bundleNow(), Revocations: &l})
					return true
				}
				w.open(nil)
				pass(10 * time.Second)
				first := len(w.polled())
				pass(time.Minute)
				if again := len(w.polled()) - first; first > test.first || again > 180 {
					t.Errorf("%d polls at first, %d in the minute after", first, again)
				}
			})
		})
	}
}

func TestACAThatKnowsNoRevocations(t *testing.T) {
	for name, test := range map[string]struct {
		edit  func(f *fakeRevocations)
		polls string // whether they ask for revocations, until the certificate is renewed
	}{
		"says nothing":          {edit: func(f *fakeRevocations) { f.silent = true }, polls: "true"},
		"does not want to hear": {edit: func(f *fakeRevocations) { f.ignorant = true }, polls: "false"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				s := w.open(nil)
				peer := w.peerOf("spiffe://example.org/peer")
				w.revoke(peer.snapshot.Load().leaf())
				pass(time.Minute)
				learned := s.Status().RevocationsUpdated
				w.change(func() { test.edit(&w.fakeRevocations) }) // an older replica answers from here on
				w.publish(8, w.root, newPKI("example.org").root)
				pass(time.Minute)
				st := s.Status()
				if !st.Following || st.BundleSequence != 8 || st.RevokedCertificates != 1 || st.RevocationsUpdated.Before(learned) {
					t.Errorf("status: %+v", st)
				}
				polls := w.polled()
				if last := polls[len(polls)-1]; fmt.Sprint(last.Revocations) != test.polls {
					t.Errorf("last poll: %+v", last)
				}
				if err := shake(peer.ClientTLS(anyone), s.ServerTLS(anyone)); !errors.Is(err, ErrRevoked) {
					t.Errorf("handshake: %v", err)
				}
				w.change(func() { w.silent, w.ignorant = false, false }) // it is upgraded
				pass(time.Until(st.RenewalDue) + time.Second)
				polls = w.polled()
				if last := polls[len(polls)-1]; !last.Revocations || !s.Status().Following {
					t.Errorf("last poll: %+v", last)
				}
			})
		})
	}
}

func TestADatabaseThatWasRestoredBeginsTheListAnew(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.open(nil)
		kept, lost := w.peerOf("spiffe://example.org/kept"), w.peerOf("spiffe://example.org/lost")
		w.revoke(kept.snapshot.Load().leaf(), lost.snapshot.Load().leaf())
		pass(time.Minute)
		w.change(func() { w.serials = w.serials[:1] })
		pass(time.Minute)
		if st := s.Status(); st.RevokedCertificates != 1 || st.RevocationSequence != 1 || !st.Following {
			t.Errorf("status: %+v", st)
		}
		if err := shake(kept.ClientTLS(anyone), s.ServerTLS(anyone)); !errors.Is(err, ErrRevoked) {
			t.Errorf("one that is still revoked: %v", err)
		}
		if err := shake(lost.ClientTLS(anyone), s.ServerTLS(anyone)); err != nil {
			t.Errorf("one that is not any more: %v", err)
		}
		if n := len(w.polled()); n > 20 {
			t.Errorf("%d polls", n)
		}
	})
}

func TestARevokedServerOfPandoIsNotTalkedTo(t *testing.T) {
	inWorld(t, func(w *world) {
		w.lifetime = 24 * time.Hour
		s := w.open(nil)
		pass(time.Minute)
		w.revoke(w.serving[serverID].Leaf)
		pass(time.Minute)
		if st := s.Status(); st.Following || !errors.Is(st.FollowError, ErrRevoked) {
			t.Errorf("status: %+v", st)
		}
		w.change(func() { w.serveWith(serverID, w.pki) })
		pass(maxBackoff)
		if st := s.Status(); !st.Following {
			t.Errorf("status: %+v", st)
		}
	})
}
