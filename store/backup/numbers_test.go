package backup_test

import (
	"errors"
	"testing"
	"time"

	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/backup"
	"github.com/pando-ca/pando/store/storetest"
)

// world is a CA that is in use.
type world struct {
	opened
	gen     store.Generation
	revoked store.Serial
	live    *store.Issuance
	lease   store.Lease
}

// newWorld has a root that is active, one that is prepared, a revoked certificate, one that lives, and a
// lease that is held.
func newWorld(t *testing.T, s opened) *world {
	t.Helper()
	now := time.Now()
	w := &world{opened: s, gen: store.Generation{
		Number: 1, TrustDomain: "example.org", Sequence: 4, PublishedAt: now.Add(-time.Hour), WindowKey: []byte{1},
		Authorities: []store.Authority{
			{ID: "r1", Role: "root", State: "active", Certificate: []byte{1}, Key: []byte{1}, StateSince: now.Add(-time.Hour), Sequence: 1, CRLShards: 1},
			{ID: "r2", Role: "root", State: "prepared", Certificate: []byte{2}, Key: []byte{2}, StateSince: now.Add(-time.Hour), Sequence: 4, CRLShards: 1},
			{ID: "i1", Role: "intermediate", State: "active", ParentID: "r1", Certificate: []byte{3}, Key: []byte("pkcs11:id=1"), StateSince: now.Add(-time.Hour), CRLShards: 1},
		},
	}}
	revoked := storetest.NewIssuance("spiffe://example.org/a", now)
	w.live = storetest.NewIssuance("spiffe://example.org/b", now)
	revoked.Issuer, w.live.Issuer = "i1", "i1"
	w.revoked = revoked.Serial
	entry := storetest.NewEntry("ent", "spiffe://example.org/c")
	entry.DNSNames = nil
	errs, err := s.InsertBatch(t.Context(), []*store.Issuance{revoked, w.live}, now)
	err = errors.Join(append(errs, err,
		s.CreateEntry(t.Context(), entry, storetest.NewAudit("entry.create", "ent")),
		s.AddKeyIntent(t.Context(), []byte("pkcs11:id=1"), now),
		s.AddKeyIntent(t.Context(), []byte("pkcs11:id=2"), now),
		s.ReplaceGeneration(t.Context(), 0, w.gen, store.Fence{}, storetest.NewAudit("generation.replace", "1")),
		s.Revoke(t.Context(), w.revoked, now, 1, storetest.NewAudit("certificate.revoke", "x")),
		s.Acknowledge(t.Context(), []store.Ack{{Serial: w.live.Serial, Sequence: 4, NotAfter: w.live.NotAfter}}),
	)...)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // changes of hands
		if w.lease, err = s.AcquireLease(t.Context(), "rotation", "somebody", time.Minute); err != nil {
			t.Fatal(err)
		}
		if err := s.ReleaseLease(t.Context(), w.lease); err != nil {
			t.Fatal(err)
		}
	}
	if w.lease, err = s.AcquireLease(t.Context(), "rotation", "somebody", time.Hour); err != nil {
		t.Fatal(err)
	}
	return w
}

// empty is an empty store of an engine.
func empty(t *testing.T, engine string) opened {
	t.Helper()
	p := newPlace(t, engine)
	if err := p.migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p.open(t)
}

// TestNumbersGoOn restores an older state, and compares with what others have seen of the one that is
// lost: no number comes a second time.
func TestNumbersGoOn(t *testing.T) {
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			lock, key, _ := keys(t)
			w := newWorld(t, empty(t, engine))
			cfg := config(t, w, lock)
			before := time.Now()
			if _, err := backup.Create(t.Context(), cfg, before); err != nil {
				t.Fatal(err)
			}
			// What is lost: a revocation, a bundle, an mTLS policy.
			lost := time.Now()
			policy := store.MTLSPolicy{Pattern: "/lost", Mode: "strict", UpdatedAt: lost, UpdatedBy: "a"}
			lostVersion, err := w.SetMTLSPolicy(t.Context(), policy, nil, storetest.NewAudit("mtls_policy.set", "/lost"))
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Revoke(t.Context(), w.live.Serial, lost, 4, storetest.NewAudit("certificate.revoke", "y")); err != nil {
				t.Fatal(err)
			}
			lostSequence, err := w.RevocationSequence(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			p := newPlace(t, engine)
			if _, err := restore(t, cfg.Path, key, "example.org", p); err != nil {
				t.Fatal(err)
			}
			s := p.open(t)
			w.check(t, s, lostSequence, before)
			if version, err := s.MTLSVersion(t.Context()); err != nil || version <= lostVersion {
				t.Errorf("mTLS policies are at %d, %v; others know %d", version, err, lostVersion)
			}
		})
	}
}

func (w *world) check(t *testing.T, s opened, lostSequence uint64, before time.Time) {
	t.Helper()
	ctx := t.Context()
	gen, err := s.Generation(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if gen.Number != 2 || gen.Sequence < uint64(before.Unix()) || gen.PublishedAt.Before(before.Add(-time.Second)) {
		t.Errorf("generation %d with sequence %d of %s", gen.Number, gen.Sequence, gen.PublishedAt)
	}
	if r := gen.Authorities[0]; r.Sequence != 1 || !r.StateSince.Equal(w.gen.Authorities[0].StateSince.Truncate(time.Microsecond)) {
		t.Errorf("the active root is as of sequence %d, %s", r.Sequence, r.StateSince)
	}
	if r := gen.Authorities[1]; r.Sequence != gen.Sequence || r.StateSince.Before(before.Add(-time.Second)) {
		t.Errorf("the prepared root is as of sequence %d, %s: not published anew", r.Sequence, r.StateSince)
	}
	sequence, err := s.RevocationSequence(ctx)
	if err != nil || sequence <= lostSequence {
		t.Errorf("revocations are at %d, %v; others know %d", sequence, err, lostSequence)
	}
	list, err := s.RevocationsSince(ctx, 0, time.Now(), 10)
	if err != nil || len(list) != 1 || list[0].Serial != w.revoked {
		t.Errorf("revocations: %v, %v", list, err)
	}
	if entry, err := s.Entry(ctx, "ent"); err != nil || entry.DNSNames != nil || entry.SPIFFEID != "spiffe://example.org/c" {
		t.Errorf("entry: %+v, %v", entry, err)
	}
	facts, err := s.Facts(ctx, time.Now())
	if err != nil || facts.Behind(gen.Sequence) != 1 || facts.Issuers["i1"].Live != 1 {
		t.Errorf("facts: %+v, %v: who has acknowledged an older bundle is behind", facts, err)
	}
	if since := time.Since(facts.RestoredAt); since < 0 || since > time.Minute {
		t.Errorf("restored at %s", facts.RestoredAt)
	}
	lease, err := s.AcquireLease(ctx, "rotation", "another", time.Minute)
	if err != nil || lease.Term <= w.lease.Term {
		t.Errorf("lease: %+v, %v; the last term was %d", lease, err, w.lease.Term)
	}
	if doomed, err := s.DoomKeyIntents(ctx, time.Now().Add(time.Hour)); err != nil || len(doomed) != 0 {
		t.Errorf("doomed: %q, %v: a key that was intended is to be left alone", doomed, err)
	}
	audits, err := s.Audits(ctx, store.AuditFilter{Limit: 2})
	if err != nil || len(audits) != 2 || audits[0].Action != "backup.restore" || audits[0].Seq != audits[1].Seq+1 {
		t.Errorf("audit: %+v, %v", audits, err)
	}
	_, age, err := s.Milestone(ctx, store.MilestoneBackup)
	if err != nil || age < time.Since(before)-time.Second || age > time.Since(before)+time.Second {
		t.Errorf("the last backup is %s old, %v", age, err)
	}
	if _, _, err := s.Milestone(ctx, store.MilestoneBackupJob); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the job has run: %v", err)
	}
}

// TestOnlyTheEmptyIsRestored keeps what is there.
func TestOnlyTheEmptyIsRestored(t *testing.T) {
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			lock, key, _ := keys(t)
			w := newWorld(t, empty(t, engine))
			cfg := config(t, w, lock)
			if _, err := backup.Create(t.Context(), cfg, time.Now()); err != nil {
				t.Fatal(err)
			}
			p := newPlace(t, engine)
			if _, err := restore(t, cfg.Path, key, "other.org", p); err == nil {
				t.Error("a backup of another trust domain was restored")
			}
			// As a server leaves it that was started too early, and has found no CA.
			if err := p.migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := p.prepare(t.Context(), time.Now(), time.Now().Add(24*time.Hour)); err != nil {
				t.Fatal(err)
			}
			if _, err := restore(t, cfg.Path, key, "example.org", p); err != nil {
				t.Fatal(err)
			}
			if _, err := restore(t, cfg.Path, key, "example.org", p); !errors.Is(err, store.ErrNotEmpty) {
				t.Errorf("into a store that is in use: %v, want %v", err, store.ErrNotEmpty)
			}
		})
	}
}

// TestRecords holds what is chosen.
func TestRecords(t *testing.T) {
	lock, key, _ := keys(t)
	w := newWorld(t, empty(t, "sqlite"))
	old := storetest.NewIssuance("spiffe://example.org/old", time.Now().Add(-3*time.Hour))
	old.Issuer = "i1"
	if errs, err := w.InsertBatch(t.Context(), []*store.Issuance{old}, time.Now()); errors.Join(append(errs, err)...) != nil {
		t.Fatal(errs, err)
	}
	for choice, want := range map[backup.Records][2]int{
		backup.RecordsAll: {3, 1}, backup.RecordsLive: {2, 1}, backup.RecordsNone: {0, 0},
	} {
		t.Run(string(choice), func(t *testing.T) {
			cfg := config(t, w, lock)
			cfg.Records = choice
			if _, err := backup.Create(t.Context(), cfg, time.Now()); err != nil {
				t.Fatal(err)
			}
			p := newPlace(t, "sqlite")
			if _, err := restore(t, cfg.Path, key, "example.org", p); err != nil {
				t.Fatal(err)
			}
			s := p.open(t)
			records, err := s.Records(t.Context(), store.RecordFilter{Limit: 100})
			if err != nil || len(records) != want[0] {
				t.Errorf("%d records, %v, want %d", len(records), err, want[0])
			}
			facts, err := s.Facts(t.Context(), time.Now())
			if err != nil || facts.Behind(1<<62) != want[1] {
				t.Errorf("%d followers, %v, want %d", facts.Behind(1<<62), err, want[1])
			}
			if list, err := s.RevocationsSince(t.Context(), 0, time.Now(), 10); err != nil || len(list) != 1 {
				t.Errorf("%d revocations, %v, want 1 whatever is chosen", len(list), err)
			}
		})
	}
}
