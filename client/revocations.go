package client

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"
)

const (
	// maxRevoked is how many revoked certificates are kept in mind: 80 MB. A CA that names
	// more is told off (Status.FollowError), and what is known stays in force.
	maxRevoked = 1 << 22

	// maxRevokedAuthorities is how many revoked authorities an answer may name.
	maxRevokedAuthorities = 1000

	// keepRevoked is how long past its end a revoked certificate is kept in mind, for a
	// clock that is set back.
	keepRevoked = 5 * time.Minute
)

// errTooMany says that the CA has revoked more than is kept in mind.
var errTooMany = fmt.Errorf("more than %d certificates are revoked", maxRevoked)

// keyID names the key of an authority: the SHA-256 of its SubjectPublicKeyInfo. All
// certificates of a key are revoked with it, cross-certificates too.
type keyID [sha256.Size]byte

func keyIDOf(cert *x509.Certificate) keyID { return sha256.Sum256(cert.RawSubjectPublicKeyInfo) }

func (k keyID) compare(o keyID) int { return bytes.Compare(k[:], o[:]) }

// MarshalText writes them as UnmarshalText reads them.
func (k keyID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, k[:]), nil }

// UnmarshalText reads 64 hex digits.
func (k *keyID) UnmarshalText(text []byte) error { return decodeHex(k[:], text) }

// revocations is all that the CA has said is revoked and has not expired. Immutable; nil is
// nothing.
type revocations struct {
	sequence    uint64 // of the last revocation that is in it
	serials     serials
	former      serials // from before the CA began its list anew; in force until that is complete
	authorities map[keyID]bool
}

// cursor is what to ask the CA for more with.
func (r *revocations) cursor() uint64 {
	if r == nil {
		return 0
	}
	return r.sequence
}

// count returns how many certificates are known to be revoked.
func (r *revocations) count() int {
	if r == nil {
		return 0
	}
	return max(r.serials.len(), r.former.len())
}

// with returns r after an answer of the CA, r itself if it brings nothing at all, and
// whether anything is revoked that was not before, or the reverse.
func (r *revocations) with(l *revocationList, now time.Time) (next *revocations, news bool, err error) {
	var known revocations
	if r != nil {
		known = *r
	}
	grown := known
	if l.Reset {
		// The CA has lost what it knew (a database that was restored). The list of before
		// ends when the new one is complete, so that nobody slips through in between.
		grown = revocations{former: known.former, authorities: known.authorities}
		if grown.former == nil {
			grown.former = known.serials
		}
	}
	oldest := now.Add(-keepRevoked)
	added, pruned := 0, false
	grown.serials, pruned = grown.serials.since(oldest)
	grown.serials, added = grown.serials.with(l.Serials, oldest)
	if grown.serials.len() > maxRevoked {
		return r, false, errTooMany
	}
	news = added > 0
	// A replica that lags behind still names what is revoked, but not everything.
	if l.Sequence >= grown.sequence {
		grown.sequence = l.Sequence
		if authorities := keySet(l.Authorities); !maps.Equal(authorities, grown.authorities) {
			grown.authorities, news = authorities, true
		}
	}
	if !l.More && grown.former != nil {
		grown.former, news = nil, true
	}
	if !news && !pruned && !l.Reset && grown.sequence == known.sequence {
		return r, false, nil
	}
	return &grown, news, nil
}

// kept returns the list to be kept for a restart; nil if nothing is revoked. One that is too
// long, or not complete, has no sequence, so that the CA is asked for all of it again.
func (r *revocations) kept() *revocationList {
	if r == nil {
		return nil
	}
	l := &revocationList{Authorities: slices.SortedFunc(maps.Keys(r.authorities), keyID.compare)}
	if r.serials.len()+r.former.len() > maxKept {
		return l
	}
	l.Serials = slices.Concat(slices.Concat(r.serials...), slices.Concat(r.former...))
	if r.former == nil {
		l.Sequence = r.sequence
	}
	return l
}

// anew returns r with a cursor before the beginning: what is revoked stays so, and a CA is asked
// for all of its own list.
func (r *revocations) anew() *revocations {
	if r == nil {
		return nil
	}
	next := *r
	next.sequence = 0
	return &next
}

func keySet(keys []keyID) map[keyID]bool {
	set := make(map[keyID]bool, len(keys))
	for _, key := range keys {
		set[key] = true
	}
	return set
}

// plus returns r with one more certificate.
func (r *revocations) plus(cert *x509.Certificate, now time.Time) *revocations {
	n, ok := serialOf(cert)
	if !ok {
		return r
	}
	var grown revocations
	if r != nil {
		grown = *r
	}
	grown.serials, _ = grown.serials.with([]serial{n}, now)
	return &grown
}

// leaf returns an error that wraps [ErrRevoked] if the certificate is revoked.
func (r *revocations) leaf(cert *x509.Certificate) error {
	if r == nil {
		return nil
	}
	n, ok := serialOf(cert)
	if !ok || !r.serials.has(n) && !r.former.has(n) {
		return nil
	}
	return fmt.Errorf("serial number %s: %w", n, ErrRevoked)
}

// above does so if an authority that is revoked is in a verified chain.
func (r *revocations) above(chain []*x509.Certificate) error {
	if r == nil || len(r.authorities) == 0 {
		return nil
	}
	for _, cert := range chain[1:] {
		if r.authorities[keyIDOf(cert)] {
			return fmt.Errorf("authority %s: %w", authorityID(cert), ErrRevoked)
		}
	}
	return nil
}

// unbroken returns the first of the chains, of which there is at least one, to which no
// revoked authority belongs.
func (r *revocations) unbroken(chains [][]*x509.Certificate) ([]*x509.Certificate, error) {
	var first error
	for _, chain := range chains {
		err := r.above(chain)
		if err == nil {
			return chain, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}
