package ca

import (
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	"time"
)

// Serial is the serial number of a certificate as 19 big-endian octets. The first three are
// the day of NotAfter, counted in UTC days since 1 January 1970; the other sixteen are
// random. A look-up by serial number therefore leads to the one partition of the records
// that can hold it, and 128 random bits keep it unpredictable (RFC 5280, section 4.1.2.2,
// allows 20 octets). The zero value means "none".
type Serial [19]byte

// serialDayOctets is the length of the day in a serial number.
const serialDayOctets = 3

const secondsPerDay = 24 * 60 * 60

// NewSerial draws a serial number for a certificate that ends at notAfter. The only error
// is that of random, or a notAfter before 2 January 1970 or beyond three octets of days.
func NewSerial(random io.Reader, notAfter time.Time) (Serial, error) {
	var s Serial
	day := notAfter.Unix() / secondsPerDay
	if day <= 0 || day >= 1<<(8*serialDayOctets) {
		return Serial{}, fmt.Errorf("serial number: no certificate can end at %s", notAfter.UTC().Format(time.RFC3339))
	}
	s[0], s[1], s[2] = byte(day>>16), byte(day>>8), byte(day)
	if _, err := io.ReadFull(random, s[serialDayOctets:]); err != nil {
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
// of this layout whose day is that of its NotAfter, so that Pando cannot have signed it.
func SerialOf(cert *x509.Certificate) (Serial, bool) {
	var s Serial
	n := cert.SerialNumber
	if n == nil || n.Sign() <= 0 || n.BitLen() > 8*len(s) {
		return Serial{}, false
	}
	n.FillBytes(s[:])
	if end := cert.NotAfter.Unix(); end <= 0 || int64(s.Day()) != end/secondsPerDay {
		return Serial{}, false
	}
	return s, true
}

// String returns the serial number as 38 hex digits in lower case.
func (s Serial) String() string { return hex.EncodeToString(s[:]) }

// Int returns the serial number as the integer in the certificate.
func (s Serial) Int() *big.Int { return new(big.Int).SetBytes(s[:]) }

// Day returns the UTC day of NotAfter, counted since 1 January 1970.
func (s Serial) Day() int { return int(s[0])<<16 | int(s[1])<<8 | int(s[2]) }

// IsZero reports whether s names no certificate.
func (s Serial) IsZero() bool { return s == Serial{} }
