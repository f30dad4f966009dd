package client

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestSerialsAreASet(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var set serials
	model := make(map[serial]bool)
	for round := range 300 {
		var more []serial
		for range random.IntN(200) {
			n := randomSerial(now.Add(time.Duration(random.IntN(3600)-600) * time.Second))
			more = append(more, n)
			if random.IntN(4) == 0 {
				more = append(more, n)
			}
		}
		for known := range model {
			if len(more) > 0 && random.IntN(20) == 0 {
				more = append(more, known)
			}
		}
		fresh := 0
		for _, n := range more {
			if n.notAfter() >= now.Unix() && !model[n] {
				model[n] = true
				fresh++
			}
		}
		before := set
		next, added := set.with(more, now)
		if added != fresh || next.len() != len(model) || before.len() != len(model)-fresh {
			t.Fatalf("round %d: %d added, want %d; %d of %d", round, added, fresh, next.len(), len(model))
		}
		set = next
		checkRuns(t, set)
	}
	for n := range model {
		if !set.has(n) {
			t.Fatalf("%s is missing", n)
		}
		other := n
		other[18] ^= 1
		if set.has(other) {
			t.Fatalf("%s is in it", other)
		}
	}
	later := now.Add(45 * time.Minute)
	left, changed := set.since(later)
	checkRuns(t, left)
	if !changed || left.len() >= set.len() {
		t.Errorf("%d of %d left, changed %t", left.len(), set.len(), changed)
	}
	for n := range model {
		if n.notAfter() >= later.Unix() && !left.has(n) {
			t.Fatalf("%s went too early", n)
		}
	}
	if again, changed := left.since(later); changed || again.len() != left.len() {
		t.Errorf("changed again: %t, %d", changed, again.len())
	}
	if none, _ := set.since(now.Add(2 * time.Hour)); none.len() != 0 || len(none) != 0 {
		t.Errorf("%d left after all have expired", none.len())
	}
}

func checkRuns(t *testing.T, s serials) {
	t.Helper()
	for i, run := range s {
		if len(run) == 0 || i > 0 && len(s[i-1]) <= len(run) {
			t.Fatalf("run %d of %d has %d elements", i, len(s), len(run))
		}
		for j := 1; j < len(run); j++ {
			if run[j-1].compare(run[j]) >= 0 {
				t.Fatalf("run %d is not sorted", i)
			}
		}
	}
}

// manySerials returns n that end an hour from now.
func manySerials(n int) []serial {
	random := rand.New(rand.NewPCG(3, 4))
	list := make([]serial, n)
	for i := range list {
		binary.BigEndian.PutUint32(list[i][:], uint32(time.Now().Add(time.Hour).Unix()))
		binary.BigEndian.PutUint64(list[i][4:], random.Uint64())
	}
	return list
}

func TestAddingAFewToAMillionCopiesAFew(t *testing.T) {
	const million = 1_000_000
	list := manySerials(million)
	set, _ := serials(nil).with(list, time.Now())
	first := &set[0][0]
	for range 100 {
		set, _ = set.with([]serial{randomSerial(time.Now().Add(time.Hour))}, time.Now())
	}
	if &set[0][0] != first || set.len() != million+100 || len(set) > 8 {
		t.Errorf("%d runs of %d", len(set), set.len())
	}
	if n := testing.AllocsPerRun(100, func() {
		if !set.has(list[million/2]) || set.has(serial{}) {
			t.Fatal("not in the set")
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func TestAMillionRevocationsTakeTwentyMegabytes(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var r *revocations
	now := time.Now()
	for page := range 100 {
		list := manySerials(10_000)
		for i := range list {
			list[i][18] = byte(page) // the generator gives the same each time
		}
		var err error
		if r, _, err = r.with(&revocationList{Sequence: uint64(page), Serials: list, More: true}, now); err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	held := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	if r.count() != 1_000_000 || held > 25<<20 {
		t.Errorf("%d take %d MiB", r.count(), held>>20)
	}
	t.Logf("%d runs, %.1f MB", len(r.serials), float64(held)/1e6)
	runtime.KeepAlive(r)
}

func TestSerialsThatAreNone(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "short": strings.Repeat("0", 37), "long": strings.Repeat("0", 39), "a letter": strings.Repeat("g", 38),
		"with a prefix": "0x" + strings.Repeat("0", 36), "with colons": "00:" + strings.Repeat("0", 35),
	} {
		t.Run(name, func(t *testing.T) {
			if err := new(serial).UnmarshalText([]byte(text)); err == nil {
				t.Error("accepted")
			}
		})
	}
	var n serial
	if err := n.UnmarshalText([]byte("69A430C0" + strings.Repeat("ab", 15))); err != nil || n.notAfter() != 0x69a430c0 {
		t.Errorf("%s: %v", n, err)
	}
}
