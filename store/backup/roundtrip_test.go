package backup_test

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/backup"
)

// TestRoundTrip takes every table, with values of every kind, from one engine to the other and back,
// through files: every value is what it was.
func TestRoundTrip(t *testing.T) {
	const rows = 1200 // more than are written at once
	lock, key, _ := keys(t)
	domain := value(store.Column{Kind: store.KindText}, 0, 0).(string)
	from := filled(t, "sqlite", rows)
	want := read(t, from)
	for _, engine := range []string{"postgres", "sqlite"} {
		cfg := config(t, from, lock)
		var done, total int64
		cfg.Progress = func(d, of int64) { done, total = d, of }
		made, err := backup.Create(t.Context(), cfg, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(cfg.Path)
		if err != nil || info.Mode().Perm() != 0o600 || info.Size() != made.Size {
			t.Errorf("the file: %v, %v, want mode 0600 and %d octets", info, err, made.Size)
		}
		if done != total || total != 2*made.Rows() {
			t.Errorf("progress ended at %d of %d, want twice %d", done, total, made.Rows())
		}
		to := newPlace(t, engine)
		read1, err := restore(t, cfg.Path, key, domain, to)
		if err != nil {
			t.Fatalf("restore on %s: %v", engine, err)
		}
		if diff := cmp.Diff(made, read1); diff != "" {
			t.Errorf("made (-) and restored (+):\n%s", diff)
		}
		from = to.open(t)
		got := read(t, from)
		for _, table := range store.TablesAt(latest(t)) {
			switch table.Name {
			case "generation", "leases", "entry_version", "mtls_version", "revocation_number": // go on: see TestNumbersGoOn
				continue
			case "key_intents": // those that are doomed
				want[table.Name] = slices.DeleteFunc(want[table.Name], func(row string) bool { return !slices.Contains(got[table.Name], row) })
				if len(got[table.Name]) != rows/2 {
					t.Errorf("%d doomed keys, want %d", len(got[table.Name]), rows/2)
				}
			case "audit": // with the row of the restore
				if len(got[table.Name]) != len(want[table.Name])+1 {
					t.Errorf("%d audit rows, want %d and one more", len(got[table.Name]), len(want[table.Name]))
				}
				got[table.Name] = slices.DeleteFunc(got[table.Name], func(row string) bool { return !slices.Contains(want[table.Name], row) })
			}
			if diff := cmp.Diff(want[table.Name], got[table.Name]); diff != "" {
				t.Fatalf("%s on %s (-want +got):\n%.2000s", table.Name, engine, diff)
			}
		}
		want = read(t, from)
	}
}
