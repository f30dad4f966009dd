package ca

import (
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"math/big"
	"time"
)

// Serial is the serial number of a certificate as 19 big-endian octets. The first four are
// NotAfter in seconds since 1 January 1970 UTC; the other fifteen are random. A look-up by
// serial number therefore leads to the one partition of the records that can hold it, an index
// of serial numbers grows at one end, and 120 random bits keep them unpredictable (RFC 5280,
// section 4.1.2.2, allows 20 octets). The zero value means "none".
type Serial [19]byte

// serialTimeOctets is the length of NotAfter in a serial number: enough until February 2106.
const serialTimeOctets = 4

const secondsPerDay = 24 * 60 * 60

// NewSerial draws a serial number for a certificate that ends at notAfter. The only error
// is that of random, or a notAfter that is not after 1 January 1970 or beyond four octets of
// seconds.
func NewSerial(random io.Reader, notAfter time.Time) (Serial, error) {
	var s Serial
	end := notAfter.Unix()
	if end <= 0 || end > math.MaxUint32 {
		return Serial{}, fmt.Errorf("serial number: no certificate can end at %s", notAfter.UTC().Format(time.RFC3339))
	}
	binary.BigEndian.PutUint32(s[:], uint32(end))
	if _, err := io.ReadFull(random, s[serialTimeOctets:]); err != nil {
		return Serial{}, fmt.Errorf("serial number: %w", err)
	}
	return s, nil
}

// ParseSerial parses the text form of a serial number: 38 hex digits in lower case.
func ParseSerial(text string) (Serial, error) {
	var s Serial
	if len(text) != hex.EncodedLen(len(s)) {
		return Serial{}, fmt.Errorf("serial number has %d characters, want %d hex digits", len(text), hex.EncodedLen(len(s)))
	}
	if _, err := hex.Decode(s[:], []byte(text)); err != nil || s.String() != text {
		return Serial{}, fmt.Errorf("serial number %q is not in lower-case hex digits", text)
	}
	return s, nil
}

// SerialOf returns the serial number of cert. It reports false when cert does not have one
// of this layout that leads with its NotAfter, so that Pando cannot have signed it.
func SerialOf(cert *x509.Certificate) (Serial, bool) {
	var s Serial
	n := cert.SerialNumber
	if n == nil || n.Sign() <= 0 || n.BitLen() > 8*len(s) {
		return Serial{}, false
	}
	n.FillBytes(s[:])
	if s.seconds() <= 0 || s.seconds() != cert.NotAfter.Unix() {
		return Serial{}, false
	}
	return s, true
}

// String returns the serial number as 38 hex digits in lower case.
func (s Serial) String() string { return hex.EncodeToString(s[:]) }

// Int returns the serial number as the integer in the certificate.
func (s Serial) Int() *big.Int { return new(big.Int).SetBytes(s[:]) }

// Day returns the UTC day of NotAfter, counted since 1 January 1970.
func (s Serial) Day() int { return int(s.seconds() / secondsPerDay) }

// Shard returns the shard of its issuer's CRL that a certificate belongs to, of so many: its
// first random octet modulo their number, which is at most [MaxCRLShards].
func (s Serial) Shard(shards int) int { return int(s[serialTimeOctets]) % max(shards, 1) }

// seconds is NotAfter in seconds since 1 January 1970.
func (s Serial) seconds() int64 { return int64(binary.BigEndian.Uint32(s[:])) }

// IsZero reports whether s names no certificate.
func (s Serial) IsZero() bool { return s == Serial{} }
