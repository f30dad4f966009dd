package mtls

import (
	"slices"
	"time"
)

const (
	// Memory is how long what programs have observed counts, after they are gone, and how far
	// back their reports reach.
	Memory = 7 * 24 * time.Hour
	// MinReadiness is the shortest time that readiness is judged over: a report may be some
	// tens of seconds late.
	MinReadiness = time.Minute
	// DefaultReadiness is long enough for what happens once a day.
	DefaultReadiness = 24 * time.Hour
)

// Clamp brings a time of a program's clock into what can be: not after now, and not so long ago
// that it does not count any more. The zero time stays.
func Clamp(t, now time.Time) time.Time {
	oldest := now.Add(-Memory)
	switch {
	case t.IsZero():
		return t
	case t.After(now):
		return now
	case t.Before(oldest):
		return oldest
	}
	return t
}

// Observation is what one instance of a program has seen on one listener.
type Observation struct {
	Mode          Mode      // in force when it was reported
	Since         time.Time // what came before is not known
	Until         time.Time // when the instance is gone, if it does not report again
	LastMTLS      time.Time // zero: none yet
	LastPlaintext time.Time // zero: none yet
}

// Obstacle is why a listener is not ready to be strict.
type Obstacle string

// The obstacles.
const (
	ObstaclePlaintext   Obstacle = "plaintext"          // some instance accepted plaintext in that time
	ObstacleNotObserved Obstacle = "not_observed"       // for a part of the time nobody says what was accepted
	ObstacleNoMTLS      Obstacle = "no_mtls"            // nobody connected by mutual TLS in that time
	ObstacleOverride    Obstacle = "override"           // an override is in force
	ObstacleTooMany     Obstacle = "too_many_instances" // more than are kept: some may be missing
)

// Verdict is whether a listener of all instances of a program could be strict.
type Verdict struct {
	Obstacles     []Obstacle // none: it is ready
	Instances     int        // that are there now
	Modes         []Mode     // of these, each once, the strictest first
	ObservedSince time.Time  // the beginning of what is observed without a gap up to now; zero: nothing is
	LastMTLS      time.Time  // zero: none is known
	LastPlaintext time.Time  // zero: none is known
}

// Ready reports whether nothing stands against it.
func (v *Verdict) Ready() bool { return len(v.Obstacles) == 0 }

// Judge judges what the instances of a program have seen on one listener from a moment up to
// now; those that are gone count too. overridden says that an override is in force on it.
func Judge(seen []Observation, overridden bool, from, now time.Time) Verdict {
	var v Verdict
	for _, o := range seen {
		if o.Until.After(now) {
			v.Instances++
			if !slices.Contains(v.Modes, o.Mode) {
				v.Modes = append(v.Modes, o.Mode)
			}
		}
		v.LastMTLS = later(v.LastMTLS, o.LastMTLS)
		v.LastPlaintext = later(v.LastPlaintext, o.LastPlaintext)
	}
	slices.SortFunc(v.Modes, func(a, b Mode) int { return slices.Index(Modes(), a) - slices.Index(Modes(), b) })
	v.ObservedSince = observedSince(seen, now)
	object := func(so bool, o Obstacle) {
		if so {
			v.Obstacles = append(v.Obstacles, o)
		}
	}
	object(!v.LastPlaintext.IsZero() && !v.LastPlaintext.Before(from), ObstaclePlaintext)
	object(v.ObservedSince.IsZero() || v.ObservedSince.After(from), ObstacleNotObserved)
	object(v.LastMTLS.IsZero() || v.LastMTLS.Before(from), ObstacleNoMTLS)
	object(overridden, ObstacleOverride)
	return v
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// observedSince goes back from now as long as there is an instance that was there.
func observedSince(seen []Observation, now time.Time) time.Time {
	byEnd := slices.SortedFunc(slices.Values(seen), func(a, b Observation) int { return b.Until.Compare(a.Until) })
	since := now
	for _, o := range byEnd {
		if o.Until.Before(since) {
			break // nobody was there in between
		}
		if o.Since.Before(since) {
			since = o.Since
		}
	}
	if since.Equal(now) {
		return time.Time{}
	}
	return since
}
