package store

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// AuditMisfit is what does not fit in a chain of audit rows.
type AuditMisfit struct {
	Seq  int64 // of the first row that does not fit; 0: it is none that is there
	Link int64 // the place in the chain
	Why  string
}

// Error implements error.
func (m *AuditMisfit) Error() string {
	if m.Seq == 0 {
		return fmt.Sprintf("link %d: %s", m.Link, m.Why)
	}
	return fmt.Sprintf("row %d (link %d): %s", m.Seq, m.Link, m.Why)
}

// AuditVerifier holds audit rows against their hashes. The zero value is ready. It is not safe
// for concurrent use.
//
// Each row has a place in the chain, one more than the row before, and a hash over its place, its
// contents and the hash of the row before. So a row that was changed, or moved, or taken out, or
// put in, does not fit. What the chain cannot tell by itself is that somebody has cut off its
// end, or made all of it anew from some row on: hold it against a head that was noted before,
// where nobody who can write to the database can write.
//
// Rows that an earlier release has written have no hash. The next row that a release with a
// chain writes vouches for them, and from then on they cannot be changed either.
type AuditVerifier struct {
	// Known is a head that was noted before; nil: none. A chain that begins right behind it is
	// taken for the rest of one.
	Known *AuditHead

	seq     int64
	head    AuditHead
	known   bool // Known has been met
	rows    int
	covered int
	pending map[int64][]Audit // by the link of the row that is to vouch for them
	loose   []Audit           // the first ones without a link; a row to come may vouch for them
	beyond  covered           // those behind them: see maxLoose
}

// maxLoose is how many rows without a link are held, some 50 MB; further ones are counted. A row
// that vouches does so for a tenth of that.
const maxLoose = 100_000

// AuditSummary is what a chain that fits consists of.
type AuditSummary struct {
	Rows    int       // all that were read
	Covered int       // of these, those of an earlier release that another row vouches for
	Loose   int       // of these, those without a hash that no row vouches for yet
	First   int64     // Seq of the first loose row; 0: there is none
	Head    AuditHead // the end of the chain; zero: it has not begun
}

// Add takes the next row, the oldest first. It returns an *AuditMisfit for the first one that does
// not fit; no more can be added then.
func (v *AuditVerifier) Add(a *Audit) error {
	if a.Seq <= v.seq {
		return misfit(a, "it does not come after row %d", v.seq)
	}
	v.seq = a.Seq
	v.rows++
	if len(a.Hash) == 0 {
		return v.addUnhashed(a)
	}
	if v.head.Link == 0 && v.Known != nil && a.Link == v.Known.Link+1 {
		v.head, v.known = *v.Known, true
	}
	if a.Link != v.head.Link+1 {
		return misfit(a, "link %d was expected: rows are missing before it, or were put in", v.head.Link+1)
	}
	sum := a.sum(v.head.Hash)
	if !bytes.Equal(sum[:], a.Hash) {
		return misfit(a, "its hash is not that of what it says: it was changed")
	}
	v.head = AuditHead{Link: a.Link, Hash: sum}
	if err := v.checkCover(a); err != nil {
		return err
	}
	return v.meet(a)
}

// addUnhashed takes a row of an earlier release.
func (v *AuditVerifier) addUnhashed(a *Audit) error {
	switch {
	case a.Link == 0 && (len(v.loose) == maxLoose || v.beyond.rows > 0):
		v.beyond.add(a)
		return nil
	case a.Link == 0:
		v.loose = append(v.loose, *a)
		return nil
	case a.Link <= v.head.Link:
		return misfit(a, "it has no hash, and no row that vouches for it: it was put in, or its hash was taken away")
	}
	if v.pending == nil {
		v.pending = make(map[int64][]Audit)
	}
	v.pending[a.Link] = append(v.pending[a.Link], *a)
	v.covered++
	return nil
}

// checkCover compares what a row vouches for with what was found. Rows are read in pages: those that
// were read before the row that vouches was written had no link then, and are the oldest of all.
func (v *AuditVerifier) checkCover(a *Audit) error {
	found := v.pending[a.Link]
	delete(v.pending, a.Link)
	switch {
	case a.Action != ActionCover && found == nil:
		return nil
	case a.Action != ActionCover:
		return &AuditMisfit{Seq: found[0].Seq, Link: a.Link, Why: "it has no hash, and no row that vouches for it: it was put in, or its hash was taken away"}
	}
	before := 0
	if rows, err := strconv.Atoi(a.Detail["rows"]); err == nil {
		before = min(max(rows-len(found), 0), len(v.loose))
	}
	sum := newCovered()
	for _, part := range [][]Audit{v.loose[:before], found} {
		for i := range part {
			sum.add(&part[i])
		}
	}
	if !maps.Equal(sum.detail(), a.Detail) {
		return misfit(a, "a row from %s to %s that it vouches for was changed, taken out or put in", a.Detail["first"], a.Detail["last"])
	}
	v.loose, v.covered = v.loose[before:], v.covered+before
	return nil
}

// meet compares a row with the head that was noted for its place.
func (v *AuditVerifier) meet(a *Audit) error {
	if v.Known == nil || a.Link != v.Known.Link {
		return nil
	}
	v.known = true
	if v.head.Hash != v.Known.Hash {
		return misfit(a, "its hash is not the one that was noted: it, or a row before it, was written anew")
	}
	return nil
}

// End tells what the chain consists of once every row was added, or returns an *AuditMisfit: the
// head that was noted was not met, or rows name one that vouches for them and that is not there.
func (v *AuditVerifier) End() (AuditSummary, error) {
	for _, link := range slices.Sorted(maps.Keys(v.pending)) {
		return AuditSummary{}, &AuditMisfit{Seq: v.pending[link][0].Seq, Link: link, Why: "the row that vouches for it is missing"}
	}
	if v.Known != nil && !v.known {
		return AuditSummary{}, &AuditMisfit{Link: v.Known.Link, Why: fmt.Sprintf("the head that was noted is missing: the chain ends at link %d", v.head.Link)}
	}
	first := v.beyond.first
	if len(v.loose) > 0 {
		first = v.loose[0].Seq
	}
	return AuditSummary{Rows: v.rows, Covered: v.covered, Loose: len(v.loose) + v.beyond.rows, First: first, Head: v.head}, nil
}

func misfit(a *Audit, format string, args ...any) error {
	return &AuditMisfit{Seq: a.Seq, Link: a.Link, Why: fmt.Sprintf(format, args...)}
}
