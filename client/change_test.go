package client

import (
	"log/slog"
	"testing"
	"time"
)

// changing returns a Source whose certificate came a minute ago, and other roots.
func changing() (s *Source, p *pki, now time.Time) {
	p = newPKI("example.org")
	cert := p.identity(leafTemplate("spiffe://example.org/web", time.Hour))
	t := rootsOf(7, p)
	t.learned = true
	s = fixed(t, cert)
	now = time.Now()
	cur := must(adoptExisting(t, &cert, s.ID(), now.Add(-time.Minute)))
	cur.schedule(window{start: now.Add(20 * time.Minute), end: now.Add(30 * time.Minute)})
	s.snapshot.Store(cur)
	s.wake, s.log = make(chan struct{}, 1), slog.New(slog.DiscardHandler)
	return s, p, now
}

func announcedBundle(sequence uint64, pkis ...*pki) *trust {
	t := rootsOf(sequence, pkis...)
	t.learned = true
	return t
}

func TestAWindowOfAnEarlierCertificateIsNotForThisOne(t *testing.T) {
	s, p, now := changing()
	cur := s.snapshot.Load()
	cert := p.identity(leafTemplate("spiffe://example.org/web", time.Hour))
	earlier := fixedSnapshot(cur.trust, cert)
	moved := window{start: now.Add(-time.Second), end: now}
	if news, err := s.followed(earlier, update{trust: cur.trust, window: moved}, now); news || err != nil || s.snapshot.Load() != cur {
		t.Errorf("window of another certificate: %t, %v, %+v", news, err, s.snapshot.Load().window)
	}
	if _, err := s.followed(cur, update{trust: cur.trust, window: moved}, now); err != nil || s.snapshot.Load().window != moved {
		t.Errorf("its own: %v, %+v", err, s.snapshot.Load().window)
	}
}

func TestABundleThatWasSetAsideIsSetAsideOnce(t *testing.T) {
	s, p, now := changing()
	cur := s.snapshot.Load()
	other := announcedBundle(8, newPKI("example.org"))
	if news, err := s.followed(cur, update{trust: other}, now); news || err == nil {
		t.Fatalf("adopted: %t, %v", news, err)
	}
	aside := s.snapshot.Load()
	if aside.trust != cur.trust || aside.announced != other || aside.due(now, time.Minute) > 0 {
		t.Fatalf("snapshot: %+v", aside)
	}
	if _, err := s.followed(aside, update{trust: announcedBundle(8, newPKI("example.org"))}, now); err == nil || s.snapshot.Load() != aside {
		t.Errorf("the second time: %v", err)
	}
	// Nor does a window that is further away put the renewal off.
	later := window{start: now.Add(25 * time.Minute), end: now.Add(30 * time.Minute)}
	s.followed(aside, update{trust: cur.trust, window: later}, now)
	if due := s.snapshot.Load().due(now, time.Minute); due > 0 {
		t.Errorf("put off by %s", due)
	}
	// A later bundle that vouches for the certificate settles it.
	if news, err := s.followed(aside, update{trust: announcedBundle(9, p)}, now); !news || err != nil || s.snapshot.Load().announced != nil {
		t.Errorf("bundle 9: %t, %v, %+v", news, err, s.snapshot.Load())
	}
}

func TestACertificateThatTheRootsSetAsideVouchForBringsThem(t *testing.T) {
	s, p, now := changing()
	cur := s.snapshot.Load()
	next := newPKI("example.org")
	other := announcedBundle(8, next)
	s.followed(cur, update{trust: other}, now)
	cert := next.crossed(p).identity(leafTemplate("spiffe://example.org/web", time.Hour))
	renewed := must(adoptExisting(cur.trust, &cert, s.ID(), now)) // by a replica that knows 7
	if err := s.renewed(renewed); err != nil || s.snapshot.Load().trust != other || s.snapshot.Load().announced != nil {
		t.Errorf("%v, %+v", err, s.snapshot.Load())
	}
}
