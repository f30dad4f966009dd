package main

import (
	"time"
)

// topState is what somebody who watches knows: the last answer, and what became of it since. Its
// methods take the time; it is used by one goroutine.
type topState struct {
	server   string
	every    time.Duration
	overview *overviewJSON // nil before the first answer
	at       time.Time     // when it came, by our clock
	failure  string        // of the last try; empty when it succeeded
	counts   []issuedCount // of the replica that answered last, the oldest first
}

// issuedCount is how many certificates a replica had issued at a moment of its clock.
type issuedCount struct {
	at     time.Time
	issued uint64
}

// rateSpan is over how long a time the rate of a replica is averaged: a small fleet renews in gusts.
const rateSpan = 30 * time.Second

// take is told of an answer at now.
func (s *topState) take(o *overviewJSON, now time.Time) {
	last := s.overview
	s.overview, s.at, s.failure = o, now, ""
	if last != nil && (last.Replica != o.Replica || o.Issued < last.Issued || !o.At.After(last.At)) {
		s.counts = nil // another process, or a clock that was set
	}
	s.counts = append(s.counts, issuedCount{o.At, o.Issued})
	for len(s.counts) > 2 && o.At.Sub(s.counts[1].at) >= rateSpan {
		s.counts = s.counts[1:]
	}
}

// fail is told that there is no answer.
func (s *topState) fail(err error) { s.failure = err.Error() }

// rate is how many certificates a second the replica that answers issues; ok is false while only
// one answer is there.
func (s *topState) rate() (perSecond float64, ok bool) {
	if len(s.counts) < 2 {
		return 0, false
	}
	first, last := s.counts[0], s.counts[len(s.counts)-1]
	return float64(last.issued-first.issued) / last.at.Sub(first.at).Seconds(), true
}

// age is how old what is shown is.
func (s *topState) age(now time.Time) time.Duration { return max(now.Sub(s.at), 0) }

// stale reports whether an answer that was due has not come.
func (s *topState) stale(now time.Time) bool { return s.age(now) > 2*s.every+time.Second }

// serverNow is the time by the clock of the server, on which all that it tells depends: the clock of
// whoever watches may be wrong.
func (s *topState) serverNow(now time.Time) time.Time { return s.overview.At.Add(s.age(now)) }
