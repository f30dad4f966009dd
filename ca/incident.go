package ca

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// Incident is a declared mass re-issue: each certificate that it covers gets a place between Start
// and Start plus [Incident.Spread], so that they come at Rate. It is a value; do not modify Issuers.
type Incident struct {
	ID           string
	Issuers      []string  // IDs of the authorities whose certificates it covers
	IssuedBefore time.Time // later ones it does not cover
	Start        time.Time
	Deadline     time.Time // when all are to be replaced
	Rate         float64   // certificates per second
	Total        int       // that it covered when it was declared
}

// Spread is the time in which all certificates have their places: Total divided by Rate.
func (i *Incident) Spread() time.Duration {
	return time.Duration(float64(i.Total) / i.Rate * float64(time.Second))
}

// Covers reports whether the incident is about a certificate of this issuer and validity period.
// What a certificate says of when it was issued is the same on every replica.
func (i *Incident) Covers(issuer string, notBefore, notAfter time.Time) bool {
	issued := notBefore.Add(backdated(notAfter.Sub(notBefore)))
	return issued.Before(i.IssuedBefore) && slices.Contains(i.Issuers, issuer)
}

// backdated is how far NotBefore of a leaf of this lifetime lies before the moment of its issue.
func backdated(lifetime time.Duration) time.Duration { return min(MaxSkew, lifetime/10) }

func (i *Incident) validate() error {
	switch {
	case i.ID == "":
		return errors.New("has no ID")
	case !(i.Rate > 0) || math.IsInf(i.Rate, 0) || i.Total < 0:
		return fmt.Errorf("%d certificates at a rate of %g", i.Total, i.Rate)
	case !i.Start.Before(i.Deadline):
		return fmt.Errorf("deadline %s is not after its start, %s", rfc3339(i.Deadline), rfc3339(i.Start))
	}
	return nil
}

// Incident returns the open incident in which a certificate of this issuer, serial number and
// validity period has the earliest place, and that place; false when none covers it.
func (s *Set) Incident(issuer string, serial Serial, notBefore, notAfter time.Time) (i Incident, place time.Time, covered bool) {
	for _, each := range s.incidents {
		if !each.Covers(issuer, notBefore, notAfter) {
			continue
		}
		at := each.Start.Add(time.Duration(s.draw("incident "+each.ID, serial) * float64(each.Spread())))
		if !covered || at.Before(place) {
			i, place, covered = each, at, true
		}
	}
	return i, place, covered
}

// Incidents returns the open incidents.
func (s *Set) Incidents() []Incident { return s.incidents }
