package ca

import (
	"encoding/hex"
	"slices"
	"time"
)

// RevokedKeys returns the SHA-256 of the SubjectPublicKeyInfo, in lower-case hex, of each
// revoked authority whose certificate has not expired at now, sorted. No certificate of these
// keys is trusted by anybody, cross-certificates included.
func (s *Set) RevokedKeys(now time.Time) []string {
	var keys []string
	for _, a := range s.authorities {
		if a.state == StateRevoked && !now.After(a.cert.NotAfter) {
			keys = append(keys, hex.EncodeToString(a.keyHash[:]))
		}
	}
	slices.Sort(keys)
	return keys
}

// AuthorityBySerial returns the authority that has a certificate with this serial number, be
// it a cross-certificate.
func (s *Set) AuthorityBySerial(serial Serial) (*Authority, bool) {
	n := serial.Int()
	for _, a := range s.authorities {
		if a.cert.SerialNumber.Cmp(n) == 0 || a.cross != nil && a.cross.SerialNumber.Cmp(n) == 0 {
			return a, true
		}
	}
	return nil, false
}

// AuthorityByKey returns the authority that has the key.
func (s *Set) AuthorityByKey(key KeyHash) (*Authority, bool) {
	for _, a := range s.authorities {
		if a.keyHash == key {
			return a, true
		}
	}
	return nil, false
}
