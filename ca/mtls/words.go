package mtls

import (
	"errors"
	"fmt"
	"time"
)

// Mode is what a listener does with connections.
type Mode string

// The modes.
const (
	ModeStrict     Mode = "strict"     // mutual TLS only
	ModePermissive Mode = "permissive" // mutual TLS and plaintext
	ModeDisabled   Mode = "disabled"   // plaintext only
)

// Modes lists every mode, the strictest first.
func Modes() []Mode { return []Mode{ModeStrict, ModePermissive, ModeDisabled} }

// Side is which end of connections an override is about.
type Side string

// The sides.
const (
	SideListen Side = "listen"
	SideDial   Side = "dial"
	SideBoth   Side = "both"
)

// Sides lists every side.
func Sides() []Side { return []Side{SideListen, SideDial, SideBoth} }

// Source is who has decided on the mode of a listener.
type Source string

// The sources.
const (
	SourceCode     Source = "code"     // the program names the mode
	SourcePolicy   Source = "policy"   // rules of this package
	SourceOverride Source = "override" // an override that is in force
	SourceLocal    Source = "local"    // the program has no policy, or one of its own
)

// Sources lists every source.
func Sources() []Source { return []Source{SourceCode, SourcePolicy, SourceOverride, SourceLocal} }

// DefaultName is the name of a listener or dialer that its program gives none.
const DefaultName = "default"

// maxName is the greatest length of a name in octets, that of a DNS label.
const maxName = 63

// CheckName returns an error unless name can be that of a listener or dialer: up to 63 of a-z,
// 0-9, '.', '_' and '-', of which a letter or digit leads.
func CheckName(name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("name has %d octets, want 1 to %d", len(name), maxName)
	}
	for i := range len(name) {
		c := name[i]
		alphanumeric := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		if !alphanumeric && (i == 0 || c != '.' && c != '_' && c != '-') {
			return fmt.Errorf("name holds %q at %d; want a-z, 0-9, '.', '_' and '-', the first of them a letter or digit", c, i)
		}
	}
	return nil
}

// MaxOverride is the longest that an override lasts: long enough to find out what is wrong, and
// too short to be forgotten.
const MaxOverride = time.Hour

// Override is an emergency: for a while, listeners under a pattern that follow policy are
// permissive, and dialers whose code allows plaintext use it.
type Override struct {
	ID      string
	Pattern Pattern
	Name    string // of listeners and dialers; empty: all
	Side    Side
	Reason  string
	Expires time.Time
	Ended   time.Time // by hand, before it expires; zero: not
}

// InForce reports whether the override holds at now. When it began is not looked at: that lies
// in the past of every clock that is right.
func (o Override) InForce(now time.Time) bool { return o.Ended.IsZero() && now.Before(o.Expires) }

// Listens reports whether the override is about a listener of this name.
func (o Override) Listens(name string) bool {
	return o.Side != SideDial && (o.Name == "" || o.Name == name)
}

var errBackwards = errors.New("an override ends before it begins")

// CheckOverride returns an error unless an override may last for d.
func CheckOverride(d time.Duration) error {
	switch {
	case d <= 0:
		return errBackwards
	case d > MaxOverride:
		return fmt.Errorf("an override lasts for %s at most", MaxOverride)
	}
	return nil
}
