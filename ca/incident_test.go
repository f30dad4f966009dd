package ca_test

import (
	"crypto/rand"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
)

// incident is one of a thousand certificates of "issuer", from noon on, in 800 seconds.
func incident() ca.Incident {
	return ca.Incident{
		ID: "i1", Issuers: []string{"issuer"}, IssuedBefore: noon.Add(time.Minute),
		Start: noon, Deadline: noon.Add(1000 * time.Second), Rate: 1.25, Total: 1000,
	}
}

// inIncidents is a set with these open incidents.
func inIncidents(t *testing.T, incidents ...ca.Incident) *ca.Set {
	t.Helper()
	cfg := catest.New(t, catest.Options{Now: noon, RootKey: ca.ECDSAP256}).SetConfig()
	cfg.Incidents = incidents
	set, err := ca.NewSet(cfg, noon)
	check(t, err)
	return set
}

func TestWindowsOfAnIncident(t *testing.T) {
	set, replica, calm := inIncidents(t, incident()), inIncidents(t, incident()), inIncidents(t)
	const draws = 4000
	perTenth := make([]int, 10)
	for range draws {
		notBefore, notAfter := noon.Add(-time.Minute), noon.Add(60*24*time.Hour)
		serial, err := ca.NewSerial(rand.Reader, notAfter)
		check(t, err)
		w := set.Window("issuer", serial, notBefore, notAfter, 0)
		place := w.Start.Sub(noon)
		if place < 0 || place >= 800*time.Second || w.End.Sub(w.Start) != 100*time.Second || w.End.After(incident().Deadline) {
			t.Fatalf("window %v does not lie in the incident", w)
		}
		perTenth[place/(80*time.Second)]++
		if again := replica.Window("issuer", serial, notBefore, notAfter, 0); again != w {
			t.Fatalf("another replica says %v, want %v", again, w)
		}
		if w := calm.Window("issuer", serial, notBefore, notAfter, 0); w.Start.Before(noon.Add(24 * time.Hour)) {
			t.Fatalf("without an incident the window is %v", w)
		}
	}
	for tenth, n := range perTenth {
		if math.Abs(float64(n)-draws/10) > 100 { // five standard deviations
			t.Errorf("%d of %d certificates have their place in tenth %d", n, draws, tenth)
		}
	}
}

func TestIncidentMovesWindowsForwardOnly(t *testing.T) {
	set, calm := inIncidents(t, incident()), inIncidents(t)
	hour := time.Hour
	for name, tt := range map[string]struct {
		issuer    string
		notBefore time.Time
		lifetime  time.Duration
		moved     bool
	}{
		"a long one":                              {"issuer", noon.Add(-time.Minute), 24 * hour, true},
		"one of another issuer":                   {"other", noon.Add(-time.Minute), 24 * hour, false},
		"one whose own window is past":            {"issuer", noon.Add(-40 * time.Minute), hour, false},
		"one that was issued just before the end": {"issuer", noon.Add(-time.Second), 24 * hour, true},
		"one that was issued later":               {"issuer", noon, 24 * hour, false},
		"one that ends before its place":          {"issuer", noon.Add(-50 * time.Second), 55 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			for range 20 {
				notAfter := tt.notBefore.Add(tt.lifetime)
				serial, err := ca.NewSerial(rand.Reader, notAfter)
				check(t, err)
				own := calm.Window(tt.issuer, serial, tt.notBefore, notAfter, 0)
				got := set.Window(tt.issuer, serial, tt.notBefore, notAfter, 0)
				if moved := got.Start.Before(own.Start); moved != tt.moved || got.Start.After(own.Start) || got.End.Before(got.Start) {
					t.Fatalf("window %v, without the incident %v; want it moved: %t", got, own, tt.moved)
				}
			}
		})
	}
}

// TestTheEarliestIncidentCounts has two that cover a certificate.
func TestTheEarliestIncidentCounts(t *testing.T) {
	later := incident()
	later.ID, later.Start, later.Deadline = "i2", noon.Add(time.Hour), noon.Add(2*time.Hour)
	set := inIncidents(t, later, incident())
	notAfter := noon.Add(24 * time.Hour)
	serial, err := ca.NewSerial(rand.Reader, notAfter)
	check(t, err)
	i, place, covered := set.Incident("issuer", serial, noon.Add(-time.Minute), notAfter)
	if !covered || i.ID != "i1" || place.After(noon.Add(800*time.Second)) {
		t.Errorf("incident %q at %s, %t", i.ID, place, covered)
	}
}

func TestNewSetRefusesIncidents(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(*ca.Incident)
		want  string
	}{
		"without an ID":                 {func(i *ca.Incident) { i.ID = "" }, "no ID"},
		"without a rate":                {func(i *ca.Incident) { i.Rate = 0 }, "rate"},
		"with a rate that is no number": {func(i *ca.Incident) { i.Rate = math.NaN() }, "rate"},
		"with an infinite rate":         {func(i *ca.Incident) { i.Rate = math.Inf(1) }, "rate"},
		"with a negative total":         {func(i *ca.Incident) { i.Total = -1 }, "certificates"},
		"that end at once":              {func(i *ca.Incident) { i.Deadline = i.Start }, "deadline"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := catest.New(t, catest.Options{Now: noon, RootKey: ca.ECDSAP256}).SetConfig()
			i := incident()
			tt.spoil(&i)
			cfg.Incidents = []ca.Incident{i}
			if _, err := ca.NewSet(cfg, noon); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one about %q", err, tt.want)
			}
		})
	}
}
