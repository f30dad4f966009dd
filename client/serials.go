package client

import (
	"bytes"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"time"
)

// serial is a serial number of Pando: 4 octets for the second of the certificate's
// NotAfter, then 15 random ones.
type serial [19]byte

// serialOf returns the serial number of a certificate; false if it is none of Pando's.
func serialOf(cert *x509.Certificate) (n serial, ok bool) {
	if cert.SerialNumber.Sign() < 0 || cert.SerialNumber.BitLen() > 8*len(n) {
		return n, false
	}
	cert.SerialNumber.FillBytes(n[:])
	return n, true
}

// MarshalText writes it as UnmarshalText reads it.
func (n serial) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalText reads 38 hex digits.
func (n *serial) UnmarshalText(text []byte) error { return decodeHex(n[:], text) }

func (n serial) String() string { return hex.EncodeToString(n[:]) }

// notAfter is the second in which the certificate ends, in Unix time.
func (n serial) notAfter() int64 { return int64(binary.BigEndian.Uint32(n[:])) }

func (n serial) compare(o serial) int { return bytes.Compare(n[:], o[:]) }

// decodeHex fills dst from exactly as many hex digits as it takes.
func decodeHex(dst, text []byte) error {
	if len(text) != 2*len(dst) {
		return fmt.Errorf("%d octets where %d hex digits are due", len(text), 2*len(dst))
	}
	_, err := hex.Decode(dst, text)
	return err
}

// serials is an immutable set of serial numbers: sorted runs that share no element, each
// more than fanout times as long as the next. To add a few to a million copies a few, and
// a million takes 19 MB and hardly more than one run. Since a serial number leads with
// NotAfter, what has expired is the beginning of each run.
type serials [][]serial

// fanout is by how much a run must be longer than the next not to be merged with it: an
// element is copied at most so many times per run, and there are at most 8 runs for a
// million elements.
const fanout = 8

// has reports whether n is in the set. It allocates nothing.
func (s serials) has(n serial) bool {
	for _, run := range s {
		if _, found := slices.BinarySearchFunc(run, n, serial.compare); found {
			return true
		}
	}
	return false
}

// len returns how many there are.
func (s serials) len() (n int) {
	for _, run := range s {
		n += len(run)
	}
	return n
}

// with returns the set with those of more that end at or after since, and how many of them
// are new.
func (s serials) with(more []serial, since time.Time) (next serials, added int) {
	run := make([]serial, 0, len(more))
	for _, n := range more {
		if n.notAfter() >= since.Unix() && !s.has(n) {
			run = append(run, n)
		}
	}
	slices.SortFunc(run, serial.compare)
	run = slices.Compact(run)
	if added = len(run); added == 0 {
		return s, 0
	}
	next = slices.Clone(s)
	for last := len(next) - 1; last >= 0 && len(next[last]) <= fanout*len(run); last-- {
		run = merge(next[last], run)
		next = next[:last]
	}
	return append(next, slices.Clip(run)), added
}

// merge returns the elements of two sorted runs that share none.
func merge(a, b []serial) []serial {
	merged := make([]serial, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0].compare(b[0]) < 0 {
			merged, a = append(merged, a[0]), a[1:]
		} else {
			merged, b = append(merged, b[0]), b[1:]
		}
	}
	return append(append(merged, a...), b...)
}

// since returns the set without most of those that end before a time: a run is copied once
// half of it is over. The set itself is returned if there is nothing worth it.
func (s serials) since(t time.Time) (next serials, changed bool) {
	for _, run := range s {
		over, _ := slices.BinarySearchFunc(run, t.Unix(), func(n serial, at int64) int {
			if n.notAfter() < at {
				return -1
			}
			return 1
		})
		if 2*over < len(run) {
			next = append(next, run)
			continue
		}
		changed = true
		if over < len(run) {
			next = append(next, slices.Clone(run[over:]))
		}
	}
	if !changed {
		return s, false
	}
	return next, true
}
