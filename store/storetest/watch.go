package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/pando-ca/pando/store"
)

func testWatch(t *testing.T, a, b Store) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	told, ended := make(chan struct{}, 100), make(chan error, 1)
	go func() { ended <- b.Watch(ctx, func() { told <- struct{}{} }) }()
	wait := func(what string) {
		t.Helper()
		select {
		case <-told:
		case err := <-ended:
			t.Fatalf("Watch has ended: %v", err)
		case <-time.After(time.Second):
			t.Errorf("nobody was told within a second of %s", what)
		}
	}
	select {
	case <-told: // it listens
	case <-time.After(10 * time.Second):
		t.Fatal("Watch does not begin")
	}
	row := NewIssuance("spiffe://example.org/w", Now())
	many := of("spiffe://example.org/many", "many", 9, Now().Add(time.Hour))
	mustInsert(t, a, row, many)
	for _, change := range []struct {
		what string
		do   func() error
	}{
		{"a new generation", func() error { replace(t, a, newGeneration(1)); return nil }},
		{"a generation that replaces one", func() error { replace(t, a, newGeneration(2)); return nil }},
		{"a new entry", func() error {
			return a.CreateEntry(ctx, NewEntry("e", "spiffe://example.org/w"), NewAudit("entry.create", "e"))
		}},
		{"the end of an entry", func() error { return a.DeleteEntry(ctx, "e", NewAudit("entry.delete", "e")) }},
		{"a policy of mTLS", func() error {
			_, err := a.SetMTLSPolicy(ctx, newMTLSPolicy("/ns/**", ""), nil, NewAudit("mtls_policy.set", "/ns/**"))
			return err
		}},
		{"the end of a policy", func() error {
			return a.DeleteMTLSPolicy(ctx, "/ns/**", "", nil, NewAudit("mtls_policy.delete", "/ns/**"))
		}},
		{"an override", func() error {
			return a.StartMTLSOverride(ctx, newMTLSOverride("o", Now()), NewAudit("mtls_override.start", "o"))
		}},
		{"the end of an override", func() error {
			_, err := a.EndMTLSOverride(ctx, store.MTLSOverride{ID: "o", EndedAt: Now()}, NewAudit("mtls_override.end", "o"))
			return err
		}},
		{"a revocation", func() error { return a.Revoke(ctx, row.Serial, Now(), 4, NewAudit("certificate.revoke", "r")) }},
		{"a revocation of many", func() error { _, err := revokeAll(ctx, a, bulk(store.Selector{Issuer: "many"})); return err }},
		{"a blocked key", func() error { return a.BlockKey(ctx, row.KeyHash, Now(), NewAudit("key.block", "k")) }},
	} {
		must(t, change.do())
		wait(change.what)
	}
	cancel()
	select {
	case err := <-ended:
		wantError(t, "Watch when its context ends", err, nil)
		must(t, err)
	case <-time.After(10 * time.Second):
		t.Error("Watch does not end")
	}
}
