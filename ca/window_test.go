package ca_test

import (
	"crypto/rand"
	"math"
	"testing"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
)

func TestWindowLiesInTheLifetime(t *testing.T) {
	set := catest.New(t, catest.Options{Now: noon}).Set()
	for name, tt := range map[string]struct {
		lifetime time.Duration
		renewAt  float64
		centre   float64
	}{
		"an hour":            {time.Hour, 0, 1.0 / 2},
		"five seconds":       {5 * time.Second, 0, 1.0 / 2},
		"24 hours":           {24 * time.Hour, 0, 1.0 / 2},
		"more than 24 hours": {24*time.Hour + time.Second, 0, 2.0 / 3},
		"60 days":            {60 * 24 * time.Hour, 0, 2.0 / 3},
		"a profile's own":    {time.Hour, 0.3, 0.3},
		"too late to fit":    {time.Hour, 0.99, 0.8},
		"too early to fit":   {time.Hour, 0.01, 0.1},
		"negative":           {time.Hour, -1, 0.1},
	} {
		t.Run(name, func(t *testing.T) {
			const draws = 2000
			least, most, sum := math.Inf(1), math.Inf(-1), 0.0
			for range draws {
				notAfter := noon.Add(tt.lifetime)
				serial, err := ca.NewSerial(rand.Reader, notAfter)
				check(t, err)
				w := set.Window("issuer", serial, noon, notAfter, tt.renewAt)
				if w.Start.Before(noon) || w.End.After(notAfter.Add(time.Microsecond)) {
					t.Fatalf("window %v lies outside the lifetime", w)
				}
				if got := w.End.Sub(w.Start); absolute(got-tt.lifetime/10) > time.Microsecond {
					t.Fatalf("window of %s, want a tenth of %s", got, tt.lifetime)
				}
				place := float64(w.Start.Sub(noon)) / float64(tt.lifetime)
				least, most, sum = min(least, place), max(most, place), sum+place
			}
			near := func(got, want float64) bool { return math.Abs(got-want) < 0.01 }
			if !near(least, tt.centre-0.1) || !near(most, tt.centre+0.1) || !near(sum/draws, tt.centre) {
				t.Errorf("places from %.3f to %.3f, on average %.3f, want %.3f ± 0.1", least, most, sum/draws, tt.centre)
			}
		})
	}
}

func absolute(d time.Duration) time.Duration { return max(d, -d) }

func TestWindowDependsOnKeyIssuerAndSerialOnly(t *testing.T) {
	pki := catest.New(t, catest.Options{Now: noon})
	replica, err := ca.NewSet(pki.SetConfig(), noon)
	check(t, err)
	notAfter := noon.Add(time.Hour)
	serial, err := ca.NewSerial(rand.Reader, notAfter)
	check(t, err)
	next, err := ca.NewSerial(rand.Reader, notAfter)
	check(t, err)
	cfg := pki.SetConfig()
	cfg.WindowKey = []byte("another key of 16")
	rekeyed, err := ca.NewSet(cfg, noon)
	check(t, err)

	want := pki.Set().Window("a", serial, noon, notAfter, 0)
	if got := replica.Window("a", serial, noon, notAfter, 0); got != want {
		t.Errorf("another replica says %v, want %v", got, want)
	}
	for name, got := range map[string]ca.Window{
		"another serial number": pki.Set().Window("a", next, noon, notAfter, 0),
		"another issuer":        pki.Set().Window("b", serial, noon, notAfter, 0),
		"another key":           rekeyed.Window("a", serial, noon, notAfter, 0),
	} {
		if got == want {
			t.Errorf("%s gives the same window", name)
		}
	}
}
