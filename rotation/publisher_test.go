package rotation_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/rotation"
	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/sqlite"
	"github.com/pando-ca/pando/store/storetest"
)

// press is a CA whose lists are published, on a real store in memory.
type press struct {
	*sqlite.Store
	gen  *store.Generation
	keys *modelKeys
}

func newPress(t testing.TB, shards int) *press {
	t.Helper()
	pki := catest.New(t, catest.Options{
		Now: planNoon, RootKey: ca.ECDSAP256, CRLShards: shards, URLs: crlPolicy.URLs, Lifetime: planPolicy.IntermediateLifetime,
	})
	db, err := sqlite.OpenMemory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	p := &press{Store: db, keys: &modelKeys{made: make(map[string]crypto.Signer)}}
	p.adopt(t, pki)
	return p
}

// adopt makes the authorities of pki, with their keys, the current generation.
func (p *press) adopt(t testing.TB, pki *catest.CA) {
	t.Helper()
	p.gen = rows(pki)
	for i, a := range pki.SetConfig().Authorities {
		row := &p.gen.Authorities[i]
		row.CRLShards = a.CRLShards
		if a.Signer != nil {
			ref := fmt.Sprintf("%s #%d", ca.KeyLabel(pki.Set().TrustDomain(), a.Role), i)
			p.keys.made[ref], row.Key = a.Signer, []byte(ref)
		}
	}
	p.replace(t)
}

// replace writes the generation as it is now.
func (p *press) replace(t testing.TB) {
	t.Helper()
	number, err := p.GenerationNumber(t.Context())
	if err == nil {
		p.gen.Number = number + 1
		err = p.ReplaceGeneration(t.Context(), number, *p.gen, store.Fence{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (p *press) publisher(t testing.TB, s rotation.CRLStore, holder string) *rotation.Publisher {
	t.Helper()
	publisher, err := rotation.NewPublisher(rotation.PublisherConfig{Store: s, Keys: p.keys, Policy: crlPolicy, Holder: holder})
	if err != nil {
		t.Fatal(err)
	}
	return publisher
}

// revoke revokes a certificate of the intermediate in a shard, which ends at notAfter.
func (p *press) revoke(t testing.TB, shard byte, notAfter, at time.Time) store.Serial {
	t.Helper()
	i := storetest.NewIssuance("spiffe://example.org/w", planNoon)
	i.NotAfter, i.Serial, i.Issuer = notAfter, storetest.NewSerial(notAfter), p.gen.Authorities[oldIssuer].ID
	i.Serial[4] = shard
	errs, err := p.InsertBatch(t.Context(), []*store.Issuance{i}, planNoon)
	if err := errors.Join(append(errs, err)...); err != nil {
		t.Fatal(err)
	}
	if err := p.Revoke(t.Context(), i.Serial, at, 1, storetest.NewAudit("certificate.revoke", "r")); err != nil {
		t.Fatal(err)
	}
	return i.Serial
}

// list reads a list as a verifier does: it must be good for now, and signed by its authority.
func (p *press) list(t testing.TB, place, shard int, now time.Time) *x509.RevocationList {
	t.Helper()
	row, err := p.CRL(t.Context(), p.gen.Authorities[place].ID, shard)
	if err != nil {
		t.Fatal(err)
	}
	list, err := x509.ParseRevocationList(row.DER)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := x509.ParseCertificate(p.gen.Authorities[place].Certificate)
	if err != nil {
		t.Fatal(err)
	}
	if err := list.CheckSignatureFrom(issuer); err != nil {
		t.Error(err)
	}
	if now.Before(list.ThisUpdate) || now.After(list.NextUpdate) || !list.ThisUpdate.Equal(row.ThisUpdate) || !list.NextUpdate.Equal(row.NextUpdate) {
		t.Errorf("list is good from %s to %s, its row says %s to %s", list.ThisUpdate, list.NextUpdate, row.ThisUpdate, row.NextUpdate)
	}
	if list.Number.Uint64() != row.Number || len(list.RevokedCertificateEntries) != row.Entries {
		t.Errorf("list %s has %d entries, its row says %d and %d", list.Number, len(list.RevokedCertificateEntries), row.Number, row.Entries)
	}
	return list
}

// serials are the serial numbers on a list.
func serials(list *x509.RevocationList) map[string]bool {
	all := make(map[string]bool)
	for _, e := range list.RevokedCertificateEntries {
		all[e.SerialNumber.Text(16)] = true
	}
	return all
}

func (p *press) publish(t testing.TB, publisher *rotation.Publisher, now time.Time) {
	t.Helper()
	if err := publisher.Publish(t.Context(), now); err != nil {
		t.Fatal(err)
	}
}

func TestPublish(t *testing.T) {
	const shards = 3
	p := newPress(t, shards)
	publisher := p.publisher(t, p.Store, "a")
	if status := publisher.Status(); status != nil {
		t.Errorf("before anything was looked at: %+v", status)
	}
	first := p.revoke(t, 4, planNoon.Add(time.Hour), planNoon)
	p.publish(t, publisher, planNoon)
	for shard := range shards {
		list := p.list(t, oldIssuer, shard, planNoon)
		if got := serials(list)[ca.Serial(first).Int().Text(16)]; got != (shard == 1) {
			t.Errorf("shard %d holds the certificate: %t", shard, got)
		}
		url := crlPolicy.URLs.DistributionPoint(p.gen.Authorities[oldIssuer].ID, shard)
		if !bytes.Contains(list.Raw, []byte(url)) {
			t.Errorf("shard %d does not name %s", shard, url)
		}
		if list.Number.Uint64() != uint64(planNoon.Unix()) {
			t.Errorf("number %s, want the second of the first publication, %d", list.Number, planNoon.Unix())
		}
	}
	if list := p.list(t, oldRoot, 0, planNoon); len(list.Extensions) != 2 {
		t.Errorf("the list of a root has extensions %v: it must be complete by itself", list.Extensions)
	}
	want := []rotation.CRLStatus{
		{Authority: p.gen.Authorities[oldRoot].ID, ThisUpdate: planNoon.Add(-time.Minute), NextUpdate: planNoon.Add(4 * time.Hour)},
		{Authority: p.gen.Authorities[oldIssuer].ID, ThisUpdate: planNoon.Add(-time.Minute), NextUpdate: planNoon.Add(4 * time.Hour), Entries: 1},
	}
	if diff := cmp.Diff(want, publisher.Status()); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}

	// A revocation: that shard alone is published again.
	second := p.revoke(t, 7, planNoon.Add(time.Hour), planNoon.Add(10*time.Second))
	p.publish(t, publisher, planNoon.Add(10*time.Second))
	for shard := range shards {
		want := uint64(planNoon.Unix())
		if shard == 1 {
			want += 10
		}
		if list := p.list(t, oldIssuer, shard, planNoon.Add(10*time.Second)); list.Number.Uint64() != want {
			t.Errorf("shard %d has number %s, want %d", shard, list.Number, want)
		}
	}
	if all := serials(p.list(t, oldIssuer, 1, planNoon.Add(10*time.Second))); len(all) != 2 || !all[ca.Serial(second).Int().Text(16)] {
		t.Errorf("after the second revocation the list holds %v", all)
	}
}

// TestNumberIncreases publishes many times in one second, and on a clock that goes back.
func TestNumberIncreases(t *testing.T) {
	p := newPress(t, 1)
	publisher := p.publisher(t, p.Store, "a")
	var last uint64
	var from time.Time
	for _, after := range []time.Duration{0, time.Millisecond, 2 * time.Millisecond, time.Second, -5 * time.Minute, time.Minute} {
		now := planNoon.Add(after)
		p.revoke(t, 0, planNoon.Add(time.Hour), now)
		p.publish(t, publisher, now)
		list := p.list(t, oldIssuer, 0, planNoon)
		if list.Number.Uint64() <= last || list.ThisUpdate.Before(from) {
			t.Errorf("%s after noon: number %s after %d, thisUpdate %s after %s", after, list.Number, last, list.ThisUpdate, from)
		}
		last, from = list.Number.Uint64(), list.ThisUpdate
	}
}

// TestRevokedJustBeforeItsEndAppears revokes in the last second. Pruning runs all the time.
func TestRevokedJustBeforeItsEndAppears(t *testing.T) {
	p := newPress(t, 1)
	publisher := p.publisher(t, p.Store, "a")
	end := planNoon.Add(time.Hour)
	serial := ca.Serial(p.revoke(t, 0, end, end.Add(-time.Second))).Int().Text(16)
	for _, tt := range []struct {
		after time.Duration // of its end
		want  bool
	}{{5 * time.Second, true}, {crlPolicy.KeepRevocations(), true}, {crlPolicy.KeepRevocations() + crlPolicy.Period, false}} {
		now := end.Add(tt.after)
		if err := p.Prune(t.Context(), now, end); err != nil {
			t.Fatal(err)
		}
		p.publish(t, publisher, now)
		if got := serials(p.list(t, oldIssuer, 0, now))[serial]; got != tt.want {
			t.Errorf("%s after its end it is on the list: %t", tt.after, got)
		}
	}
}

// TestRootListsWhatItRevoked: an intermediate, and the cross-certificate of another root.
func TestRootListsWhatItRevoked(t *testing.T) {
	p := newPress(t, 1)
	_, rotating := catest.NewRotating(t, catest.Options{Now: planNoon, RootKey: ca.ECDSAP256})
	p.adopt(t, rotating)
	publisher := p.publisher(t, p.Store, "a")
	p.publish(t, publisher, planNoon)
	for _, place := range []int{oldRoot, newRoot} {
		if list := p.list(t, place, 0, planNoon); len(list.RevokedCertificateEntries) != 0 {
			t.Errorf("root %d has revoked %v", place, serials(list))
		}
	}
	now := planNoon.Add(time.Minute)
	for _, place := range []int{oldIssuer, newRoot, newIssuer} {
		p.gen.Authorities[place].State, p.gen.Authorities[place].StateSince = "revoked", now
	}
	p.replace(t)
	p.publish(t, publisher, now)
	want := make(map[string]bool)
	for _, der := range [][]byte{p.gen.Authorities[oldIssuer].Certificate, p.gen.Authorities[newRoot].CrossCertificate} {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		want[cert.SerialNumber.Text(16)] = true
	}
	list := p.list(t, oldRoot, 0, now)
	if diff := cmp.Diff(want, serials(list)); diff != "" {
		t.Errorf("list of the old root (-want +got):\n%s", diff)
	}
	for _, e := range list.RevokedCertificateEntries {
		if e.ReasonCode != 2 {
			t.Errorf("reason %d, want cACompromise", e.ReasonCode)
		}
	}
}

// TestPublishDoesWhatItCan has an intermediate whose key is not to be had: the root publishes, the
// last lists of the intermediate stay, and the error says what is wrong.
func TestPublishDoesWhatItCan(t *testing.T) {
	p := newPress(t, 2)
	publisher := p.publisher(t, p.Store, "a")
	p.publish(t, publisher, planNoon)
	p.gen.Authorities[oldIssuer].Key = []byte("nothing that opens")
	p.replace(t)
	now := planNoon.Add(2 * time.Hour)
	err := publisher.Publish(t.Context(), now)
	if err == nil || strings.Count(err.Error(), p.gen.Authorities[oldIssuer].ID) == 0 || strings.Count(err.Error(), "shard") != 1 {
		t.Errorf("error %v, want one about the first shard of authority %s", err, p.gen.Authorities[oldIssuer].ID)
	}
	if list := p.list(t, oldRoot, 0, now); list.ThisUpdate.Before(planNoon) {
		t.Errorf("the list of the root is from %s", list.ThisUpdate)
	}
	p.list(t, oldIssuer, 0, now) // still good, for half of its time
}

// brittle fails the writes of lists, before or after they have happened.
type brittle struct {
	*sqlite.Store
	mu    sync.Mutex
	calls int
	fails func(call int) (before, after bool)
}

func (b *brittle) ReplaceCRL(ctx context.Context, from uint64, next store.CRL, fence store.Fence) error {
	b.mu.Lock()
	b.calls++
	before, after := b.fails(b.calls)
	b.mu.Unlock()
	if before {
		return errInjected
	}
	err := b.Store.ReplaceCRL(ctx, from, next, fence)
	if after {
		return errInjected
	}
	return err
}

// TestPublishIsResumed fails every second write, half of them after it has happened.
func TestPublishIsResumed(t *testing.T) {
	p := newPress(t, 5)
	b := &brittle{Store: p.Store, fails: func(call int) (bool, bool) { return call%4 == 0, call%4 == 2 }}
	publisher := p.publisher(t, b, "a")
	var failures int
	for range 20 {
		if err := publisher.Publish(t.Context(), planNoon); err != nil {
			if !errors.Is(err, errInjected) {
				t.Fatal(err)
			}
			failures++
		}
	}
	for shard := range 5 {
		p.list(t, oldIssuer, shard, planNoon)
	}
	if failures == 0 || b.calls < 6 || b.calls > 12 {
		t.Errorf("%d failures and %d writes for six lists", failures, b.calls)
	}
}

// TestReplicasPublishOnce has four replicas look at the same moments.
func TestReplicasPublishOnce(t *testing.T) {
	p := newPress(t, 4)
	b := &brittle{Store: p.Store, fails: func(int) (bool, bool) { return false, false }}
	var publishers []*rotation.Publisher
	for n := range 4 {
		publishers = append(publishers, p.publisher(t, b, fmt.Sprint("replica ", n)))
	}
	for round := range 5 {
		now := planNoon.Add(time.Duration(round) * time.Minute)
		p.revoke(t, byte(round), planNoon.Add(time.Hour), now)
		var wait sync.WaitGroup
		for _, publisher := range publishers {
			wait.Go(func() {
				if err := publisher.Publish(t.Context(), now); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
	}
	if want := 5 + 4; b.calls != want {
		t.Errorf("%d writes, want %d: one for each list, and one for each later revocation", b.calls, want)
	}
}

func TestNewPublisherRefuses(t *testing.T) {
	p := newPress(t, 1)
	for name, spoil := range map[string]func(*rotation.PublisherConfig){
		"no store":             func(c *rotation.PublisherConfig) { c.Store = nil },
		"no keys":              func(c *rotation.PublisherConfig) { c.Keys = nil },
		"no holder":            func(c *rotation.PublisherConfig) { c.Holder = "" },
		"a negative lease":     func(c *rotation.PublisherConfig) { c.LeaseTTL = -1 },
		"a negative period":    func(c *rotation.PublisherConfig) { c.Policy.Period = -time.Hour },
		"less than one second": func(c *rotation.PublisherConfig) { c.Policy.Period = time.Millisecond },
		"a URL that is none":   func(c *rotation.PublisherConfig) { c.Policy.URLs.CRL = "crl" },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := rotation.PublisherConfig{Store: p.Store, Keys: p.keys, Holder: "a"}
			spoil(&cfg)
			if _, err := rotation.NewPublisher(cfg); err == nil {
				t.Error("no error")
			}
		})
	}
}
