package server

import (
	"slices"
	"sync"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/store"
)

// revocations is the unexpired certificates that are revoked, as far as this replica has read
// them, in the order of their numbers. It follows the database: see [follower].
//
// It is not one immutable snapshot, as trust is: a copy of a million for each revocation would
// cost more than the lock. What it hands out is a part of serials, which is only appended to.
// A million take about 75 MB.
type revocations struct {
	mu      sync.RWMutex
	numbers []uint64    // ascending
	serials []ca.Serial // of the same places; leads with the end of the certificate
	known   map[ca.Serial]struct{}

	// All up to this number are there; what is above is being read. loaded is false until
	// there has been such a moment.
	sequence uint64
	loaded   bool
	changed  chan struct{} // closed and replaced when one of these changes
}

func newRevocations() *revocations {
	return &revocations{known: make(map[ca.Serial]struct{}), changed: make(chan struct{})}
}

// has reports whether a certificate is known to be revoked.
func (r *revocations) has(serial ca.Serial) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, ok := r.known[serial]
	return ok
}

// view is how far revocations are known at a moment.
type view struct {
	sequence uint64
	loaded   bool
	changed  <-chan struct{} // closed once there is something newer
}

func (r *revocations) view() view {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return view{r.sequence, r.loaded, r.changed}
}

// since returns the first of the revocations whose numbers lie above after, up to that of v,
// at most limit; the number up to which these are all; and whether there are more. The serial
// numbers are shared: they must not be changed.
func (r *revocations) since(v view, after uint64, limit int) (serials []ca.Serial, sequence uint64, more bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	start, found := slices.BinarySearch(r.numbers, after)
	if found {
		start++
	}
	end, found := slices.BinarySearch(r.numbers, v.sequence)
	if found {
		end++
	}
	if end-start > limit {
		end = start + limit
		return r.serials[start:end:end], r.numbers[end-1], true
	}
	return r.serials[start:max(start, end):max(start, end)], v.sequence, false
}

// next is the number to read on from.
func (r *revocations) next() uint64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if n := len(r.numbers); n > 0 && r.numbers[n-1] > r.sequence {
		return r.numbers[n-1]
	}
	return r.sequence
}

// add takes in what has been read on. It is known from now on, and handed out once reached.
func (r *revocations) add(page []store.Revocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range page {
		serial := ca.Serial(one.Serial)
		if _, ok := r.known[serial]; ok {
			continue
		}
		r.numbers, r.serials = append(r.numbers, one.Seq), append(r.serials, serial)
		r.known[serial] = struct{}{}
	}
}

// reach says that all up to a number are there.
func (r *revocations) reach(sequence uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.loaded && r.sequence == sequence {
		return
	}
	r.sequence, r.loaded = sequence, true
	close(r.changed)
	r.changed = make(chan struct{})
}

// forget drops everything: the database is another one.
func (r *revocations) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.numbers, r.serials, r.sequence, r.loaded = nil, nil, 0, false
	clear(r.known)
}

// expireShare is the share of expired certificates at which they are dropped: dropping copies
// the others.
const expireShare = 8

// expire drops certificates that have expired at now, once there are enough of them.
func (r *revocations) expire(now time.Time) {
	live := func(s ca.Serial) bool { return !now.After(store.Serial(s).NotAfter()) }
	r.mu.RLock()
	expired := 0
	for _, s := range r.serials {
		if !live(s) {
			expired++
		}
	}
	enough := expired > 0 && expired*expireShare >= len(r.serials)
	r.mu.RUnlock()
	if !enough {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	left := len(r.serials) - expired
	numbers, serials := make([]uint64, 0, left), make([]ca.Serial, 0, left)
	for i, s := range r.serials {
		if live(s) {
			numbers, serials = append(numbers, r.numbers[i]), append(serials, s)
			continue
		}
		delete(r.known, s)
	}
	r.numbers, r.serials = numbers, serials
}
