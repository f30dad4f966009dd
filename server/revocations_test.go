package server

import (
	"encoding/binary"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/store"
)

// numbered is the revocation with a number, of a certificate that ends at a moment.
func numbered(seq uint64, end time.Time) store.Revocation {
	r := store.Revocation{Seq: seq, NotAfter: end}
	binary.BigEndian.PutUint32(r.Serial[:], uint32(end.Unix()))
	binary.BigEndian.PutUint64(r.Serial[11:], seq)
	return r
}

// places are the numbers that numbered has put into serial numbers.
func places(serials []ca.Serial) []uint64 {
	var all []uint64
	for _, s := range serials {
		all = append(all, binary.BigEndian.Uint64(s[11:]))
	}
	return all
}

func TestRevocationsAreHandedOutInParts(t *testing.T) {
	end := time.Now().Add(time.Hour)
	r := newRevocations()
	if v := r.view(); v.loaded || v.sequence != 0 {
		t.Errorf("nothing is read, and the view is %+v", v)
	}
	var page []store.Revocation
	for _, seq := range []uint64{10, 20, 30, 40, 50} {
		page = append(page, numbered(seq, end))
	}
	r.add(page[:4])
	r.reach(45) // that of an expired one
	r.add(page) // is read once more, and on
	for name, c := range map[string]struct {
		after uint64
		limit int
		want  []uint64
		seq   uint64
		more  bool
	}{
		"all":                              {0, 10, []uint64{10, 20, 30, 40}, 45, false},
		"exactly as many as there are":     {0, 4, []uint64{10, 20, 30, 40}, 45, false},
		"the first":                        {0, 3, []uint64{10, 20, 30}, 30, true},
		"the next":                         {30, 3, []uint64{40}, 45, false},
		"from between":                     {15, 2, []uint64{20, 30}, 30, true},
		"nothing new":                      {45, 3, nil, 45, false},
		"from what is not yet reached":     {50, 3, nil, 45, false},
		"from a number that nobody has":    {1 << 63, 3, nil, 45, false},
		"from the number of the last":      {40, 3, nil, 45, false},
		"from just before that of another": {39, 3, []uint64{40}, 45, false},
	} {
		serials, seq, more := r.since(r.view(), c.after, c.limit)
		if diff := cmp.Diff(c.want, places(serials)); diff != "" || seq != c.seq || more != c.more {
			t.Errorf("%s: sequence %d, more %t, want %d, %t (-want +got):\n%s", name, seq, more, c.seq, c.more, diff)
		}
	}
	if !r.has(ca.Serial(page[4].Serial)) {
		t.Error("one that is read is not known before all up to a number are")
	}
	old, _, _ := r.since(r.view(), 0, 10)
	r.reach(50)
	r.forget()
	if r.has(ca.Serial(page[0].Serial)) || r.view().loaded {
		t.Error("what was forgotten is known")
	}
	r.add([]store.Revocation{numbered(7, end)})
	r.reach(7)
	if diff := cmp.Diff([]uint64{10, 20, 30, 40}, places(old)); diff != "" {
		t.Errorf("what was handed out has changed (-want +got):\n%s", diff)
	}
}

func TestExpiredRevocationsAreDropped(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	r := newRevocations()
	var page []store.Revocation
	for n := range 16 {
		page = append(page, numbered(uint64(n+1), now.Add(time.Duration(15-n)*time.Minute))) // the last ones end first
	}
	r.add(page)
	r.reach(16)
	r.expire(now)
	old, _, _ := r.since(r.view(), 0, 100)
	if len(old) != 16 {
		t.Fatalf("%d are left in the second in which the first of them ends", len(old))
	}
	r.expire(now.Add(time.Second))
	if serials, _, _ := r.since(r.view(), 0, 100); len(serials) != 16 {
		t.Errorf("one of 16 has expired, and %d are left: all are copied for it", len(serials))
	}
	r.expire(now.Add(61 * time.Second))
	serials, sequence, more := r.since(r.view(), 0, 100)
	if len(serials) != 14 || sequence != 16 || more || r.has(ca.Serial(page[14].Serial)) || !r.has(ca.Serial(page[13].Serial)) {
		t.Errorf("two of 16 have expired, and %d are left, up to number %d", len(serials), sequence)
	}
	if diff := cmp.Diff(uint64(16), places(old)[15]); diff != "" {
		t.Errorf("what was handed out has changed: %s", diff)
	}
	r.expire(now.Add(time.Hour))
	if serials, sequence, _ := r.since(r.view(), 3, 100); len(serials) != 0 || sequence != 16 {
		t.Errorf("all have expired, and %d are left, up to number %d", len(serials), sequence)
	}
}

// A million unexpired revocations take less than 100 MB, and an answer copies none.
func TestAMillionRevocationsFit(t *testing.T) {
	const rows, page = 1_000_000, 10_000
	before := heap()
	r, end := newRevocations(), time.Now().Add(time.Hour)
	part := make([]store.Revocation, page)
	for first := 0; first < rows; first += page {
		for n := range part {
			part[n] = numbered(uint64(first+n+1), end)
		}
		r.add(part)
	}
	r.reach(rows)
	used := (heap() - before) / (1 << 20)
	t.Logf("%d MiB", used)
	if used >= 95 {
		t.Errorf("a million take %d MiB", used)
	}
	v := r.view()
	if n := testing.AllocsPerRun(10, func() { r.since(v, 500_000, MaxRevocations) }); n != 0 {
		t.Errorf("an answer allocates %v times", n)
	}
	runtime.KeepAlive(r)
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func BenchmarkIsRevoked(b *testing.B) {
	r, end := newRevocations(), time.Now().Add(time.Hour)
	for n := range uint64(100_000) {
		r.add([]store.Revocation{numbered(n, end)})
	}
	good := ca.Serial(numbered(1<<40, end).Serial)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if r.has(good) {
				b.Fail()
			}
		}
	})
}
