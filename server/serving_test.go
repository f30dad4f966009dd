package server_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	gospiffeid "github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
)

func TestServingCertificateIsRenewedInItsWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		serving, err := server.NewServing(t.Context(), f.Service, server.ServingConfig{DNSNames: []string{"localhost"}, Duration: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- serving.Run(ctx) }()

		first := serving.Leaf()
		if got := first.URIs[0].String(); got != "spiffe://example.org/pando/server" || first.DNSNames[0] != "localhost" {
			t.Errorf("the serving certificate is for %s and %s", got, first.DNSNames)
		}
		// The window starts between 40% and 60% of the hour.
		time.Sleep(time.Until(first.NotBefore.Add(23 * time.Minute)))
		synctest.Wait()
		if serving.Leaf() != first {
			t.Error("the certificate was renewed before its window")
		}
		f.out.mu.Lock()
		f.out.before = store.ErrUnavailable
		f.out.mu.Unlock()
		time.Sleep(time.Until(first.NotBefore.Add(37 * time.Minute)))
		synctest.Wait()
		if serving.Leaf() != first {
			t.Error("a certificate that was not recorded is shown")
		}
		f.out.mu.Lock()
		f.out.before = nil
		f.out.mu.Unlock()
		time.Sleep(6 * time.Second)
		synctest.Wait()
		second, err := serving.Certificate(nil)
		if err != nil || second.Leaf == first || !second.Leaf.NotAfter.After(first.NotAfter) {
			t.Errorf("five seconds after the store came back the certificate ends at %s: %v", second.Leaf.NotAfter, err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n := f.records(t, "spiffe://example.org/pando/server"); n != 2 {
			t.Errorf("there are %d records of serving certificates", n)
		}
	})
}

// spiffe.md items 33 to 38: what go-spiffe reads is what was published.
func TestBundleDocument(t *testing.T) {
	f := newFixture(t)
	td := gospiffeid.RequireTrustDomainFromString("example.org")
	parsed, err := spiffebundle.Parse(td, f.Bundle().Document)
	if err != nil {
		t.Fatal(err)
	}
	sequence, hasSequence := parsed.SequenceNumber()
	hint, hasHint := parsed.RefreshHint()
	if !hasSequence || !hasHint || sequence != f.pki.Set().Sequence() || hint != f.pki.Set().RefreshHint() {
		t.Errorf("sequence %d, refresh hint %s", sequence, hint)
	}
	if !parsed.HasX509Authority(f.pki.Set().Roots()[0]) || len(parsed.X509Authorities()) != 1 {
		t.Error("the document does not hold the root, or not the root alone")
	}
	if other := newFixture(t); other.Bundle().ETag == f.Bundle().ETag {
		t.Error("two bundles have one ETag")
	}
}

// Threats 28 and 30 at the door of authentication; revocation is judged by the insert.
func TestPeerIsVerifiedEachTime(t *testing.T) {
	f := newFixture(t)
	issued := f.issue(t, f.enrol(t), request(t))
	chain := parseChain(t, issued.Chain)
	now := time.Now()
	for range 2 { // the second is from memory
		if peer, err := f.Peer(chain, now); err != nil || peer.ID.String() != workload {
			t.Fatalf("the peer is %v: %v", peer, err)
		}
	}
	if _, err := f.Peer(chain, chain[0].NotAfter.Add(time.Second)); err == nil {
		t.Error("a remembered certificate is accepted after its end")
	}
	if _, err := f.Peer(chain, chain[0].NotBefore.Add(-time.Second)); err == nil {
		t.Error("a remembered certificate is accepted before its start")
	}
	if _, err := f.Peer(f.pki.Set().Roots(), now); err == nil {
		t.Error("a CA certificate is accepted as a client's")
	}
	foreign := newFixture(t)
	if _, err := foreign.Peer(chain, now); err == nil {
		t.Error("a certificate of another CA is accepted")
	}
	// A new generation, in which the root is another one: what is remembered no longer counts.
	next := catest.New(t, catest.Options{Now: now.Add(-time.Hour)}).SetConfig()
	next.Generation = f.Set().Generation() + 1
	if err := f.Adopt(newSet(t, next, now), now); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Peer(chain, now); err == nil {
		t.Error("a certificate of a root that is gone is still accepted")
	}
}

// TestServingCertificateIsReplacedInAnIncident: its holder, too, depends on a tainted intermediate
// no longer than others, and the record says so; and on a revoked one not at all.
func TestServingCertificateIsReplacedInAnIncident(t *testing.T) {
	for name, tt := range map[string]struct {
		state  ca.State
		within time.Duration
	}{
		"of a tainted intermediate": {ca.StateTainted, 100 * time.Second},
		"of a revoked one":          {ca.StateRevoked, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t)
				serving, err := server.NewServing(t.Context(), f.Service, server.ServingConfig{})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- serving.Run(ctx) }()
				synctest.Wait()
				first := serving.Leaf()
				cfg := f.pki.Prepare(t).Activate(t).SetConfig()
				cfg.Authorities[1].State = tt.state
				now := time.Now()
				cfg.Incidents = []ca.Incident{{
					ID: "i", Issuers: []string{cfg.Authorities[1].ID}, IssuedBefore: now.Add(time.Minute), Start: now, Deadline: now.Add(125 * time.Second), Rate: 0.01, Total: 1,
				}}
				if err := f.Adopt(newSet(t, cfg, now), now); err != nil {
					t.Fatal(err)
				}
				time.Sleep(tt.within)
				synctest.Wait()
				if serving.Leaf() == first {
					t.Error("the old certificate is still shown")
				}
				serial, _ := ca.SerialOf(serving.Leaf())
				record, err := f.store.Record(t.Context(), store.Serial(serial))
				replaced, _ := ca.SerialOf(first)
				if err != nil || record.Replaces != store.Serial(replaced) {
					t.Errorf("its record says that it replaces %x, %v", record.Replaces, err)
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
