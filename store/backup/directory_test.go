package backup_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/store/backup"
)

// TestPrune deletes its own files and nothing else.
func TestPrune(t *testing.T) {
	now := time.Date(2026, time.November, 26, 12, 0, 0, 0, time.UTC)
	own := func(age time.Duration) string {
		return (&backup.Directory{TrustDomain: "example.org"}).Name(now.Add(-age))
	}
	const day = 24 * time.Hour
	others := []string{
		"example.org-20200101T000000Z.pando.age.bak", "xexample.org-20200101T000000Z.pando.age", "example_org-20200101T000000Z.pando.age",
		"example.org-20200101T000000.pando.age", "example.org-20209901T000000Z.pando.age", "other.org-20200101T000000Z.pando.age",
		"sub.example.org-20200101T000000Z.pando.age", ".example.org-20200101T000000Z.pando.age-x", "seal.key", "pando.db",
	}
	for name, c := range map[string]struct {
		keep    int
		keepFor time.Duration
		ages    []time.Duration
		latest  time.Duration // age of the one that was just made
		deleted []time.Duration
	}{
		"without limits":                          {0, 0, []time.Duration{0, 900 * day}, 0, nil},
		"the newest are kept":                     {2, 0, []time.Duration{0, day, 2 * day, 3 * day}, 0, []time.Duration{2 * day, 3 * day}},
		"the old are deleted":                     {0, 2 * day, []time.Duration{0, day, 2 * day, 3 * day}, 0, []time.Duration{3 * day}},
		"both":                                    {3, day, []time.Duration{0, day, 2 * day}, 0, []time.Duration{2 * day}},
		"the last good one stays, though old":     {0, day, []time.Duration{5 * day}, 5 * day, nil},
		"the last good one stays, though not new": {1, 0, []time.Duration{-day, 0}, 0, nil}, // a clock that was set back
	} {
		t.Run(name, func(t *testing.T) {
			dir := backup.Directory{Path: t.TempDir(), TrustDomain: "example.org", Keep: c.keep, KeepFor: c.keepFor}
			make := func(name string) {
				if err := os.WriteFile(filepath.Join(dir.Path, name), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for _, age := range c.ages {
				make(own(age))
			}
			for _, other := range others {
				make(other)
			}
			if err := os.Mkdir(filepath.Join(dir.Path, own(1000*day)), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("seal.key", filepath.Join(dir.Path, own(1001*day))); err != nil {
				t.Fatal(err)
			}
			left, fresh := "."+own(day)+"-123", "."+own(0)+"-456"
			make(left)
			make(fresh)
			if err := os.Chtimes(filepath.Join(dir.Path, left), now.Add(-2*day), now.Add(-2*day)); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(filepath.Join(dir.Path, fresh), now, now); err != nil {
				t.Fatal(err)
			}
			want := []string{left}
			for _, age := range c.deleted {
				want = append(want, own(age))
			}
			deleted, err := dir.Prune(dir.Name(now.Add(-c.latest)), now)
			slices.Sort(deleted)
			slices.Sort(want)
			if err != nil || !cmp.Equal(want, deleted) {
				t.Errorf("deleted %q, %v, want %q", deleted, err, want)
			}
			for _, name := range want {
				if _, err := os.Lstat(filepath.Join(dir.Path, name)); err == nil {
					t.Errorf("%s is there", name)
				}
			}
			there, err := os.ReadDir(dir.Path)
			if all := len(c.ages) + len(others) + 4; err != nil || len(there) != all-len(want) {
				t.Errorf("%d files are there, %v, want %d of %d", len(there), err, all-len(want), all)
			}
		})
	}
}
