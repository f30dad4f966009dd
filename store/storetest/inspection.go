package storetest

import (
	"testing"
	"time"

	"github.com/pando-ca/pando/store"
)

func testSchemaVersion(t *testing.T, a, b Store) {
	first, err := a.SchemaVersion(t.Context())
	must(t, err)
	second, err := b.SchemaVersion(t.Context())
	must(t, err)
	if first < store.FirstBackup || first != second {
		t.Errorf("versions %d and %d, want one of %d or later", first, second, store.FirstBackup)
	}
}

func testLeaseStates(t *testing.T, a, b Store) {
	ctx := t.Context()
	states, err := a.LeaseStates(ctx)
	must(t, err)
	if len(states) != 0 {
		t.Errorf("leases that nobody took: %+v", states)
	}
	given, err := a.AcquireLease(ctx, "b", "me", time.Hour)
	must(t, err)
	held, err := a.AcquireLease(ctx, "a", "you", time.Hour)
	must(t, err)
	must(t, a.ReleaseLease(ctx, given))
	states, err = b.LeaseStates(ctx)
	must(t, err)
	if len(states) != 2 {
		t.Fatalf("leases %+v, want two", states)
	}
	if left := states[0].Left; left < 59*time.Minute || left > time.Hour {
		t.Errorf("%s are left of an hour", left)
	}
	if states[1].Left >= 0 {
		t.Errorf("%s are left of a lease that was given up", states[1].Left)
	}
	wantSame(t, "the lease that is held", states[0].Lease, held)
	wantSame(t, "the one that was given up", states[1].Name, "b")
}

func testEntryUses(t *testing.T, s, _ Store) {
	ctx, now := t.Context(), Now()
	add := func(id, spiffeID string, created time.Time) {
		e := NewEntry(id, spiffeID)
		e.CreatedAt = created
		must(t, s.CreateEntry(ctx, e, NewAudit("entry.create", id)))
	}
	old := now.Add(-40 * 24 * time.Hour)
	add("e1", "spiffe://example.org/live", old)
	add("e2", "spiffe://example.org/ended", old)
	add("e3", "spiffe://example.org/never", old)
	add("e4", "spiffe://example.org/{sub}", old)
	add("e5", "spiffe://example.org/young", now)
	add("e6", "spiffe://example.org/live", old)
	mustInsert(t, s, NewIssuance("spiffe://example.org/live", now), endedAt("spiffe://example.org/ended", now))

	all := []store.EntryUse{
		{ID: "e1", SPIFFEID: "spiffe://example.org/live", Used: true}, {ID: "e2", SPIFFEID: "spiffe://example.org/ended"},
		{ID: "e3", SPIFFEID: "spiffe://example.org/never"}, {ID: "e6", SPIFFEID: "spiffe://example.org/live", Used: true},
	}
	filter := store.EntryUseFilter{CreatedBefore: now, EndsAfter: now, Limit: 10}
	uses, err := s.EntryUses(ctx, filter)
	must(t, err)
	wantSame(t, "uses", uses, all)

	filter.EndsAfter, filter.Limit = now.Add(-time.Microsecond), 2
	uses, err = s.EntryUses(ctx, filter)
	must(t, err)
	all[1].Used = true
	wantSame(t, "the first two, by a moment before", uses, all[:2])
}

// endedAt is an issuance whose certificate ends at a moment.
func endedAt(spiffeID string, end time.Time) *store.Issuance {
	i := NewIssuance(spiffeID, end.Add(-time.Hour))
	i.NotAfter = end
	i.Serial = NewSerial(end)
	return i
}

func testReplicas(t *testing.T, a, b Store) {
	ctx := t.Context()
	replicas := func() []store.Replica {
		t.Helper()
		all, err := a.Replicas(ctx)
		must(t, err)
		for i := range all {
			if all[i].Age < 0 || all[i].Age > time.Minute {
				t.Errorf("%s was seen %s ago", all[i].Name, all[i].Age)
			}
			all[i].Age = 0
		}
		return all
	}
	if all := replicas(); len(all) != 0 {
		t.Errorf("before one runs: %+v", all)
	}
	first := store.Replica{Name: "host-2/1", Version: "v1.0.0", Schema: 12, Skew: -1500 * time.Millisecond}
	second := store.Replica{Name: "host-1/1", Version: "v1.1.0", Schema: 13}
	must(t, a.SeeReplica(ctx, first))
	must(t, b.SeeReplica(ctx, second))
	wantSame(t, "both", replicas(), []store.Replica{second, first})
	first.Version, first.Schema, first.Skew = "v1.2.0", 14, time.Microsecond
	must(t, b.SeeReplica(ctx, first))
	wantSame(t, "one that has changed", replicas(), []store.Replica{second, first})
	must(t, a.ForgetReplica(ctx, second.Name))
	must(t, b.ForgetReplica(ctx, second.Name))
	wantSame(t, "one that is left", replicas(), []store.Replica{first})
}
