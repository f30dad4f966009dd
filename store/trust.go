package store

import (
	"bytes"
	"cmp"
	"slices"
	"time"
)

// Ack says that the holder of a certificate has the trust bundle with this sequence, or a
// later one. A holder that has sent one follows; its certificate counts in [Facts] until it
// expires, is revoked, or its successor has sent one.
type Ack struct {
	Serial   Serial
	Sequence uint64
	NotAfter time.Time // of the certificate
}

// Facts is what the rows say about how far a rotation has come.
type Facts struct {
	At        time.Time
	Issuers   map[string]IssuerFacts // by authority ID; absent: none is left
	Followers map[uint64]int         // live certificates whose holders follow, by acknowledged sequence

	// RestoredAt is when the database was restored from a backup; zero: never. Certificates that
	// were issued before, and after the backup, live and are not counted.
	RestoredAt time.Time
}

// IssuerFacts is what is left under one authority. Who may present a certificate is told by Live;
// whether the authority still has a list of revoked certificates to sign, by Unexpired.
type IssuerFacts struct {
	Live      int       // certificates that are neither expired nor revoked
	Unexpired int       // the revoked ones, too
	NotAfter  time.Time // the latest of the unexpired
}

// Behind is the number of following certificates that have not acknowledged sequence.
func (f *Facts) Behind(sequence uint64) int {
	n := 0
	for acknowledged, count := range f.Followers {
		if acknowledged < sequence {
			n += count
		}
	}
	return n
}

// LatestAcks returns, of several acknowledgements of one certificate, that with the highest
// sequence only, ordered by serial number. The stores call it: a statement touches a row once,
// and always in the same order.
func LatestAcks(acks []Ack) []Ack {
	sorted := slices.SortedFunc(slices.Values(acks), func(a, b Ack) int {
		return cmp.Or(bytes.Compare(a.Serial[:], b.Serial[:]), cmp.Compare(b.Sequence, a.Sequence))
	})
	return slices.CompactFunc(sorted, func(a, b Ack) bool { return a.Serial == b.Serial })
}
