package ca

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"time"
)

// Window is the period in which the server wants a certificate renewed. A client renews at
// Start, or at once when that is past; past End it is overdue.
type Window struct {
	Start time.Time
	End   time.Time
}

// How windows lie in a lifetime L.
const (
	shortLived       = 24 * time.Hour
	renewShortAt     = 1.0 / 2 // of L, when L is at most shortLived
	renewLongAt      = 2.0 / 3 // of L above
	windowSpread     = 0.2     // of L: how far apart the earliest and the latest Start lie
	windowLength     = 0.1     // of L, or of the time from an incident to its deadline: from Start to End
	latestRenewAt    = 1 - windowSpread/2 - windowLength
	earliestRenewAt  = windowSpread / 2
	mantissaBits     = 53
	unusedRandomBits = 64 - mantissaBits
)

// Window returns the renewal window of the certificate that the authority named issuer
// signed with this serial number and validity period. Its centre lies at renewAt times the
// lifetime; zero means one half up to a lifetime of 24 hours and two thirds above. Values
// that would put the window partly outside the lifetime are moved to the nearest that does
// not.
//
// An open incident that covers the certificate may move it: the earlier of its window and that of
// the incident counts, and both end by the deadline.
//
// The place of a certificate within a spread is drawn from a keyed hash, of issuer or incident and
// serial number: it is the same on every replica, and needs no storage.
func (s *Set) Window(issuer string, serial Serial, notBefore, notAfter time.Time, renewAt float64) Window {
	w := s.natural(issuer, serial, notBefore, notAfter, renewAt)
	incident, place, covered := s.Incident(issuer, serial, notBefore, notAfter)
	if !covered {
		return w
	}
	if place.Before(w.Start) {
		length := windowLength * float64(incident.Deadline.Sub(incident.Start))
		w = Window{Start: place, End: place.Add(time.Duration(length))}
	}
	if incident.Deadline.Before(w.End) && w.Start.Before(incident.Deadline) {
		w.End = incident.Deadline
	}
	return w
}

// natural is the window of a certificate that no incident covers.
func (s *Set) natural(issuer string, serial Serial, notBefore, notAfter time.Time, renewAt float64) Window {
	lifetime := notAfter.Sub(notBefore)
	switch {
	case renewAt == 0 && lifetime <= shortLived:
		renewAt = renewShortAt
	case renewAt == 0:
		renewAt = renewLongAt
	}
	renewAt = min(max(renewAt, earliestRenewAt), latestRenewAt)
	place := renewAt + (s.draw(issuer, serial)-0.5)*windowSpread
	start := notBefore.Add(time.Duration(place * float64(lifetime)))
	return Window{Start: start, End: start.Add(time.Duration(windowLength * float64(lifetime)))}
}

// draw returns a number in [0, 1) that looks random to all who do not hold the window key. of is
// the ID of an issuer, or names an incident.
func (s *Set) draw(of string, serial Serial) float64 {
	mac := hmac.New(sha256.New, s.windowKey)
	io.WriteString(mac, of) // a hash never fails to write
	mac.Write(serial[:])
	var sum [sha256.Size]byte
	return float64(binary.BigEndian.Uint64(mac.Sum(sum[:0]))>>unusedRandomBits) / (1 << mantissaBits)
}
