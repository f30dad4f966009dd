package ca_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"math/big"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/pando-ca/pando/ca"
)

func TestSerialIsNotAfterThenRandom(t *testing.T) {
	random := bytes.NewReader([]byte("0123456789abcde"))
	notAfter := time.Date(2026, 11, 22, 23, 59, 59, 0, time.UTC) // 1795391999 = 0x6b0381ff, day 20779
	s, err := ca.NewSerial(random, notAfter)
	check(t, err)
	if want := "6b0381ff" + "303132333435363738396162636465"; s.String() != want {
		t.Errorf("serial number %s, want %s", s, want)
	}
	if s.Day() != 20779 {
		t.Errorf("day %d, want 20779", s.Day())
	}
	next, err := ca.NewSerial(rand.Reader, notAfter.Add(time.Second))
	check(t, err)
	if next.Day() != 20780 {
		t.Errorf("one second later: day %d, want 20780", next.Day())
	}
	local, err := ca.NewSerial(rand.Reader, notAfter.In(time.FixedZone("far east", 14*3600)))
	check(t, err)
	if local.Day() != 20779 {
		t.Errorf("in another time zone: day %d, want 20779", local.Day())
	}
}

func TestSerialRoundTrips(t *testing.T) {
	notAfter := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	s, err := ca.NewSerial(rand.Reader, notAfter)
	check(t, err)
	if again, err := ca.ParseSerial(s.String()); err != nil || again != s {
		t.Errorf("ParseSerial(%s) = %s, %v", s, again, err)
	}
	cert := &x509.Certificate{SerialNumber: s.Int(), NotAfter: notAfter}
	if again, ok := ca.SerialOf(cert); !ok || again != s {
		t.Errorf("SerialOf = %s, %t, want %s", again, ok, s)
	}
	if s.IsZero() || !(ca.Serial{}).IsZero() {
		t.Error("IsZero is wrong")
	}
}

func TestNewSerialRefuses(t *testing.T) {
	for name, notAfter := range map[string]time.Time{
		"the zero time":          {},
		"a time before 1970":     time.Date(1969, 12, 31, 0, 0, 0, 0, time.UTC),
		"a time beyond 4 octets": time.Date(2106, 2, 7, 6, 28, 16, 0, time.UTC),
	} {
		t.Run(name, func(t *testing.T) {
			if s, err := ca.NewSerial(rand.Reader, notAfter); err == nil {
				t.Errorf("made %s", s)
			}
		})
	}
	broken := errors.New("no entropy")
	if _, err := ca.NewSerial(iotest.ErrReader(broken), time.Now()); !errors.Is(err, broken) {
		t.Errorf("with a broken source of randomness: %v", err)
	}
	if _, err := ca.NewSerial(strings.NewReader("short"), time.Now()); err == nil {
		t.Error("a short read is accepted")
	}
}

func TestParseSerialRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":    "",
		"37 digits":  strings.Repeat("a", 37),
		"39 digits":  strings.Repeat("a", 39),
		"upper case": strings.Repeat("A", 38),
		"no digits":  strings.Repeat("g", 38),
		"colons":     "00:51:2b" + strings.Repeat("0", 30),
		"a prefix":   "0x" + strings.Repeat("a", 36),
	} {
		t.Run(name, func(t *testing.T) {
			if s, err := ca.ParseSerial(text); err == nil {
				t.Errorf("ParseSerial(%q) = %s", text, s)
			}
		})
	}
}

func TestSerialOfForeignCertificates(t *testing.T) {
	notAfter := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	ours, err := ca.NewSerial(rand.Reader, notAfter)
	check(t, err)
	for name, cert := range map[string]*x509.Certificate{
		"no serial number": {NotAfter: notAfter},
		"zero":             {SerialNumber: big.NewInt(0), NotAfter: notAfter},
		"negative":         {SerialNumber: big.NewInt(-1), NotAfter: notAfter},
		"20 octets":        {SerialNumber: new(big.Int).Lsh(big.NewInt(1), 155), NotAfter: notAfter},
		"a small number":   {SerialNumber: big.NewInt(4711), NotAfter: notAfter},
		"of another time":  {SerialNumber: ours.Int(), NotAfter: notAfter.Add(time.Second)},
		"before the epoch": {SerialNumber: big.NewInt(1), NotAfter: time.Unix(-1, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			if s, ok := ca.SerialOf(cert); ok {
				t.Errorf("taken for ours: %s", s)
			}
		})
	}
}
