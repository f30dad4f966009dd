package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pando-ca/pando/store"
)

// verifyAudits reads all audit rows, the oldest first, and holds them against their hashes.
func verifyAudits(t *testing.T, s store.Audits, known *store.AuditHead) (store.AuditSummary, error) {
	t.Helper()
	verifier := store.AuditVerifier{Known: known}
	var after int64
	for {
		page, err := s.Audits(t.Context(), store.AuditFilter{Oldest: true, After: after, Limit: 100})
		must(t, err)
		for i := range page {
			after = page[i].Seq
			if err := verifier.Add(&page[i]); err != nil {
				return store.AuditSummary{}, err
			}
		}
		if len(page) == 0 {
			return verifier.End()
		}
	}
}

func testAuditFilters(t *testing.T, a, b Store) {
	ctx := t.Context()
	var all []store.Audit
	for n := range 6 {
		audit := NewAudit([]string{"entry.create", "entry.delete"}[n%2], fmt.Sprintf("e%d", n/2))
		audit.At = Now().Add(time.Duration(n) * time.Minute)
		audit.Actor = []string{"ann", "bob", "bob"}[n%3]
		must(t, a.AppendAudit(ctx, audit))
		all = append(all, audit)
	}
	for name, test := range map[string]struct {
		filter store.AuditFilter
		want   []int
	}{
		"everything, the newest first": {store.AuditFilter{}, []int{5, 4, 3, 2, 1, 0}},
		"the oldest first":             {store.AuditFilter{Oldest: true}, []int{0, 1, 2, 3, 4, 5}},
		"by actor":                     {store.AuditFilter{Actor: "ann"}, []int{3, 0}},
		"by action":                    {store.AuditFilter{Action: "entry.delete", Oldest: true}, []int{1, 3, 5}},
		"by target":                    {store.AuditFilter{Target: "e1"}, []int{3, 2}},
		"since a moment, and at it":    {store.AuditFilter{Since: all[4].At}, []int{5, 4}},
		"until a moment, not at it":    {store.AuditFilter{Until: all[2].At}, []int{1, 0}},
		"all of it":                    {store.AuditFilter{Actor: "bob", Action: "entry.delete", Since: all[1].At, Until: all[5].At}, []int{1}},
		"what is nowhere":              {store.AuditFilter{Actor: "' OR 1=1 --"}, nil},
	} {
		test.filter.Limit = 2
		var got, want []string
		for {
			page, err := b.Audits(ctx, test.filter)
			must(t, err)
			for _, audit := range page {
				got = append(got, audit.At.String())
				test.filter.After = audit.Seq
			}
			if len(page) < test.filter.Limit {
				break
			}
		}
		for _, n := range test.want {
			want = append(want, all[n].At.String())
		}
		wantSame(t, name, got, want)
	}
}

// testAuditChainRace has two replicas change things at once: one chain comes of it.
func testAuditChainRace(t *testing.T, a, b Store) {
	ctx := t.Context()
	const each = 10
	var working sync.WaitGroup
	errs := make(chan error, 8)
	for worker := range cap(errs) {
		s := []Store{a, b}[worker%2]
		working.Go(func() {
			var all []error
			for n := range each {
				id := fmt.Sprintf("e-%d-%d", worker, n)
				all = append(all, s.CreateEntry(ctx, NewEntry(id, "spiffe://example.org/w"), NewAudit("entry.create", id)))
				if n%2 == 0 {
					all = append(all, s.DeleteEntry(ctx, id, NewAudit("entry.delete", id)))
				} else {
					all = append(all, s.CreateToken(ctx, NewToken("t-"+id, id), NewAudit("token.create", id)))
				}
			}
			errs <- errors.Join(all...)
		})
	}
	working.Wait()
	for range cap(errs) {
		must(t, <-errs)
	}
	summary, err := verifyAudits(t, a, nil)
	must(t, err)
	wantSame(t, "rows", summary.Rows, 2*each*cap(errs))
	wantSame(t, "the last link", summary.Head.Link, int64(summary.Rows))
}

// testAuditTexts keeps what texts no database takes out of the way of a change, and of the chain.
func testAuditTexts(t *testing.T, a, b Store) {
	audit := NewAudit("entry.create", "a\x00b\xff")
	audit.Actor, audit.At = "ann\x00", audit.At.Add(999*time.Nanosecond)
	audit.Detail = map[string]string{"re\x00ason": "\xff\u2028\"", "": "<&>"}
	must(t, a.AppendAudit(t.Context(), audit))
	audit.Detail = nil
	must(t, b.AppendAudit(t.Context(), audit))
	summary, err := verifyAudits(t, b, nil)
	must(t, err)
	wantSame(t, "rows", summary.Rows, 2)
}

// AuditDatabase is a store whose database can be written to behind its back.
type AuditDatabase struct {
	Store  Store
	Exec   func(statement string)
	Moment string // a time as SQL has it
}

// RunTampering changes audit rows behind the back of a store, and sees to it that each change is
// found, and the row named. open returns an empty, migrated store.
func RunTampering(t *testing.T, open func(*testing.T) AuditDatabase) {
	d := open(t)
	for n := range 6 {
		must(t, d.Store.AppendAudit(t.Context(), NewAudit("entry.create", fmt.Sprintf("e%d", n))))
	}
	noted, err := verifyAudits(t, d.Store, nil)
	must(t, err)
	d.Exec("CREATE TABLE kept AS SELECT * FROM audit")
	for name, test := range tamperings() {
		t.Run(name, func(t *testing.T) {
			d.Exec(fmt.Sprintf(test.statement, d.Moment))
			_, err := verifyAudits(t, d.Store, nil)
			wantMisfit(t, "without a head", err, test.alone)
			_, err = verifyAudits(t, d.Store, &noted.Head)
			wantMisfit(t, "with the head that was noted", err, test.noted)
			d.Exec("DELETE FROM audit")
			d.Exec("INSERT INTO audit SELECT * FROM kept")
			_, err = verifyAudits(t, d.Store, &noted.Head)
			wantMisfit(t, "as it was", err, 0)
		})
	}
	t.Run("rows of an earlier release are vouched for by the next", func(t *testing.T) { testAuditCover(t, open(t)) })
	t.Run("a row that was added by hand hides no other", func(t *testing.T) {
		d := open(t)
		d.Exec(fmt.Sprintf(`INSERT INTO audit (at, actor, action, target, detail) VALUES (%s, '', '', '', '[1, {"a": 2}]')`, d.Moment))
		must(t, d.Store.AppendAudit(t.Context(), NewAudit("entry.create", "e")))
		summary, err := verifyAudits(t, d.Store, nil)
		must(t, err)
		wantSame(t, "rows that are vouched for", summary.Covered, 1)
	})
}

// tampering is what somebody does to six rows, and the Seq of the row that does not fit; 0 for
// none, and -1 when it is not there.
type tampering struct {
	statement    string // %[1]s: a moment
	alone, noted int64
}

func tamperings() map[string]tampering {
	all := map[string]tampering{
		"nothing is changed":         {"UPDATE audit SET target = target WHERE %[1]s IS NULL", 0, 0},
		"a row is taken out":         {"DELETE FROM audit WHERE seq = 3 AND %[1]s IS NOT NULL", 4, 4},
		"the first row is taken out": {"DELETE FROM audit WHERE seq = 1 AND %[1]s IS NOT NULL", 2, 2},
		"the end is cut off":         {"DELETE FROM audit WHERE seq >= 5 AND %[1]s IS NOT NULL", 0, -1},
		"all rows are gone":          {"DELETE FROM audit WHERE %[1]s IS NOT NULL", 0, -1},
		"a row is put in": {
			"INSERT INTO audit (seq, at, actor, action, target, detail, link) SELECT 7, at, actor, action, target, detail, 3 FROM audit WHERE seq = 3 AND %[1]s IS NOT NULL", 7, 7,
		},
		"two rows have changed places": {
			"UPDATE audit SET target = CASE seq WHEN 3 THEN 'e4' ELSE 'e2' END WHERE seq IN (3, 5) AND %[1]s IS NOT NULL", 3, 3,
		},
		"two hashes have changed places": {
			"UPDATE audit SET hash = (SELECT o.hash FROM audit AS o WHERE o.seq = 8 - audit.seq) WHERE seq IN (3, 5) AND %[1]s IS NOT NULL", 3, 3,
		},
		"the last row loses its hash": {"UPDATE audit SET hash = NULL, link = NULL WHERE seq = 6 AND %[1]s IS NOT NULL", 0, -1},
	}
	for column, change := range map[string]struct {
		value string
		found int64
	}{
		"at": {"%[1]s", 3}, "actor": {"'bob'", 3}, "action": {"'entry.delete'", 3}, "target": {"'e9'", 3}, "detail": {`'{"reason": "another"}'`, 3},
		"link": {"30", 3},
		"hash": {"NULL", 4}, // it is taken for one of an earlier release, and is missing in the chain
		"seq":  {"9", 4},    // it is missing where it was
	} {
		statement := "UPDATE audit SET " + column + " = " + change.value + " WHERE seq = 3 AND %[1]s IS NOT NULL"
		all["of a row, the column "+column] = tampering{statement, change.found, change.found}
	}
	return all
}

// wantMisfit reports an error that does not name the row.
func wantMisfit(t *testing.T, what string, err error, want int64) {
	t.Helper()
	var found *store.AuditMisfit
	switch {
	case want == 0 && err == nil:
	case !errors.As(err, &found):
		t.Errorf("%s: %v, want row %d to be named", what, err, want)
	case found.Seq != max(want, 0):
		t.Errorf("%s: %v, want row %d to be named", what, err, want)
	}
}

// testAuditCover upgrades: rows without a chain, also such as a replica of an earlier release
// writes later.
func testAuditCover(t *testing.T, d AuditDatabase) {
	ctx := t.Context()
	old := func(target string) {
		d.Exec(fmt.Sprintf(`INSERT INTO audit (at, actor, action, target, detail) VALUES (%s, 'ann', 'entry.create', '%s', '{"a": "b"}')`, d.Moment, target))
	}
	old("e1")
	old("e2")
	summary, err := verifyAudits(t, d.Store, nil)
	must(t, err)
	wantSame(t, "before the first change", summary, store.AuditSummary{Rows: 2, Loose: 2, First: 1})
	must(t, d.Store.AppendAudit(ctx, NewAudit("entry.create", "e3")))
	old("e4")
	must(t, d.Store.AppendAudit(ctx, NewAudit("entry.create", "e5")))
	must(t, d.Store.AppendAudit(ctx, NewAudit("entry.create", "e6")))

	covers, err := d.Store.Audits(ctx, store.AuditFilter{Action: store.ActionCover, Oldest: true, Limit: 10})
	must(t, err)
	var targets []string
	for _, c := range covers {
		targets = append(targets, c.Actor+" "+c.Target+" "+c.Detail["rows"])
	}
	wantSame(t, "rows that vouch", targets, []string{"pando 1 2", "pando 5 1"})
	summary, err = verifyAudits(t, d.Store, nil)
	must(t, err)
	wantSame(t, "rows", [3]int{summary.Rows, summary.Covered, summary.Loose}, [3]int{8, 3, 0})

	d.Exec(`UPDATE audit SET actor = 'bob' WHERE target = 'e2'`)
	_, err = verifyAudits(t, d.Store, nil)
	wantMisfit(t, "a row of the earlier release was changed", err, 3)
	d.Exec(`UPDATE audit SET actor = 'ann' WHERE target = 'e2'`)
	d.Exec(`DELETE FROM audit WHERE target = 'e4'`)
	_, err = verifyAudits(t, d.Store, nil)
	wantMisfit(t, "a row of the earlier release was taken out", err, 6)
}

// CheckAudited makes changes and compares the audit rows with those that somebody was told of.
func CheckAudited(t *testing.T, s Store, told func() []store.Audit) {
	t.Helper()
	ctx := t.Context()
	must(t, s.CreateEntry(ctx, NewEntry("e", "spiffe://example.org/w"), NewAudit("entry.create", "e")))
	wantError(t, "again", s.CreateEntry(ctx, NewEntry("e", "spiffe://example.org/w"), NewAudit("entry.create", "e")), store.ErrExists)
	must(t, s.ReplaceGeneration(ctx, 0, store.Generation{Number: 1}, store.Fence{}, NewAudit("authority.prepare", "a"), NewAudit("authority.activate", "a")))
	must(t, s.BlockKey(ctx, [32]byte{1}, Now(), NewAudit("key.block", "k")))
	must(t, s.BlockKey(ctx, [32]byte{1}, Now(), NewAudit("key.block", "k")))
	rows, err := s.Audits(ctx, store.AuditFilter{Oldest: true, Limit: 10})
	must(t, err)
	wantSame(t, "rows that were told of", told(), rows)
	wantSame(t, "their number", len(rows), 4)
}
