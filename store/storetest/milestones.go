package storetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/pando-ca/pando/store"
)

func testMilestones(t *testing.T, a, b Store) {
	ctx := t.Context()
	_, _, err := a.Milestone(ctx, store.MilestoneBackup)
	wantError(t, "before the first", err, store.ErrNotFound)
	must(t, a.Reach(ctx, NewAudit("backup.create", "f"), store.MilestoneBackup, store.MilestoneBackupJob))
	time.Sleep(20 * time.Millisecond) // by the clock of the database
	must(t, b.Reach(ctx, NewAudit("backup.create", "g"), store.MilestoneBackup))
	at, newer, err := a.Milestone(ctx, store.MilestoneBackup)
	must(t, err)
	_, older, err := a.Milestone(ctx, store.MilestoneBackupJob)
	must(t, err)
	again, _, err := b.Milestone(ctx, store.MilestoneBackup)
	must(t, err)
	wantSame(t, "when, asked twice", again, at)
	if newer < 0 || older-newer < 20*time.Millisecond || older > time.Minute {
		t.Errorf("reached %s and %s ago", newer, older)
	}
	audits, err := a.Audits(ctx, store.AuditFilter{Limit: 10})
	must(t, err)
	if len(audits) != 2 || audits[0].Target != "g" {
		t.Errorf("audit rows: %+v, want one for each", audits)
	}
	facts, err := a.Facts(ctx, Now())
	must(t, err)
	if !facts.RestoredAt.IsZero() {
		t.Errorf("restored at %s, and never was", facts.RestoredAt)
	}
}

// testSnapshot reads while others write: what is read is of one moment. Each change of the generation
// leaves one audit row, and each entry one token.
func testSnapshot(t *testing.T, a, b Store) {
	ctx := t.Context()
	must(t, a.ReplaceGeneration(ctx, 0, store.Generation{Number: 1, TrustDomain: "example.org", PublishedAt: Now()}, store.Fence{}, NewAudit("generation.replace", "1")))
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		for number := uint64(1); ; number++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			next := store.Generation{Number: number + 1, TrustDomain: "example.org", PublishedAt: Now()}
			if err := b.ReplaceGeneration(ctx, number, next, store.Fence{}, NewAudit("generation.replace", "n")); err != nil {
				stopped <- err
				return
			}
		}
	}()
	tables := store.TablesAt(1 << 30)
	generation := &tables[slices.IndexFunc(tables, func(t store.Table) bool { return t.Name == "generation" })]
	audit := &tables[slices.IndexFunc(tables, func(t store.Table) bool { return t.Name == "audit" })]
	for range 20 {
		err := a.Snapshot(ctx, func(s store.Snapshot) error {
			var number, read int64
			err := s.Each(ctx, generation, Now(), func(row store.Row) error {
				number, _ = row[0].(int64)
				return nil
			})
			rows, counted := s.Count(ctx, audit, Now())
			each := s.Each(ctx, audit, Now(), func(store.Row) error { read++; return nil })
			if number < 1 || rows != number || read != number {
				t.Errorf("generation %d, %d audit rows counted and %d read", number, rows, read)
			}
			return errors.Join(err, counted, each)
		})
		must(t, err)
	}
	mine := errors.New("mine")
	wantError(t, "of who reads", a.Snapshot(ctx, func(store.Snapshot) error { return mine }), mine)
	close(stop)
	must(t, <-stopped)
}
