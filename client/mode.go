package client

import (
	"fmt"
	"strconv"
	"time"
)

// Mode is what a [Listener] accepts, or how a [Dialer] connects.
type Mode string

// The modes of listeners. The zero value is ModeStrict.
const (
	ModeStrict     Mode = "strict"     // mutual TLS only
	ModePermissive Mode = "permissive" // mutual TLS and plaintext on one port
	ModeDisabled   Mode = "disabled"   // plaintext only; of a dialer as well
	ModePolicy     Mode = "policy"     // what the CA says; strict until it has said something
)

// The modes of dialers. The zero value is ModeMutual; ModeDisabled is one of them too.
const (
	ModeMutual Mode = "mutual" // mutual TLS
	ModeSimple Mode = "simple" // TLS to the outside, in which this side stays anonymous
)

// ListenerStatus is the state of the listeners of one name at one moment.
type ListenerStatus struct {
	Name          string    // "default" if it was given none
	Mode          Mode      // that is in force: strict, permissive or disabled; the weakest if they differ
	From          From      // who says so
	Since         time.Time // when it began to look at connections
	LastMTLS      time.Time // of the last connection in mutual TLS that was accepted; zero: none
	LastPlaintext time.Time // of the last one in plaintext that was accepted; zero: none

	OverrideExpires time.Time // when the override that is in force ends; zero: none is
	OverrideReason  string    // why there is one
}

// From is who decides on a mode.
type From string

// Who decides on a mode.
const (
	FromCode     From = "code"     // the program
	FromPolicy   From = "policy"   // a rule of the CA, or that there is none
	FromOverride From = "override" // an emergency override of the CA
	FromLocal    From = "local"    // one of the program
)

const (
	// defaultName is the name of a listener or dialer that was given none.
	defaultName = "default"

	// maxName is the longest name, in octets: that of a DNS label, so that it fits wherever a
	// person wants it.
	maxName = 63
)

// nameOr returns the name of a listener or dialer, and panics on one that no rule can
// have: names are written by programmers.
func nameOr(name string) string {
	if name == "" {
		return defaultName
	}
	if !validName(name) {
		panic("pando client: name " + strconv.Quote(name) + " of a listener or dialer: want [a-z0-9][a-z0-9._-]{0,62}")
	}
	return name
}

func validName(name string) bool {
	for i, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case i > 0 && (c == '.' || c == '_' || c == '-'):
		default:
			return false
		}
	}
	return name != "" && len(name) <= maxName
}

// enforced reports whether m is a mode that a listener can be in.
func (m Mode) enforced() bool { return m == ModeStrict || m == ModePermissive || m == ModeDisabled }

// forListener reports why m is no mode of a listener.
func (m Mode) forListener() error {
	if m.enforced() || m == ModePolicy {
		return nil
	}
	return fmt.Errorf("pando client: mode %q is none of a listener", m)
}

// verdict is which mode of a listener is in force, and who says so.
type verdict struct {
	mode     Mode
	from     From
	override *override // that is in force; nil: none is
}

// listening decides on the mode of a listener. What the code says is a bound: nobody else
// changes it. local are the overrides of the program for this listener and for all.
func (p *policy) listening(name string, coded Mode, local [2]*override, now time.Time) verdict {
	if o := local[0]; o != nil && !o.over(now) {
		return verdict{ModePermissive, FromLocal, o}
	}
	if coded != ModePolicy {
		return verdict{coded, FromCode, nil}
	}
	if o := p.overriding(SideServer, name, local[1], now); o != nil {
		return verdict{ModePermissive, o.from, o}
	}
	return verdict{p.rule(name).mode, FromPolicy, nil}
}

// dialing decides whether a dialer uses plaintext: nil if it does. allowed is that the code
// allows it in an emergency. A dialer in ModeDisabled that may not use plaintext may not
// connect at all; the error says what is missing.
func (p *policy) dialing(name string, coded Mode, allowed bool, local *override, now time.Time) error {
	overridden := p.overriding(SideClient, name, local, now) != nil
	switch {
	case coded == ModeDisabled && (overridden || p.rule(name).plaintextDial):
		return nil
	case coded == ModeDisabled:
		return fmt.Errorf("pando client: dialer %s: %w: the code allows it, but no rule and no override of the policy", name, ErrPlaintext)
	case coded == ModeMutual && overridden && allowed:
		return nil
	case coded == ModeMutual && overridden:
		return fmt.Errorf("pando client: dialer %s: %w: an override allows it, but not the code", name, ErrPlaintext)
	}
	return fmt.Errorf("pando client: dialer %s: %w: it is in mode %s", name, ErrPlaintext, coded)
}

// rule returns what applies to a name: its own rule, that for all, or none.
func (p *policy) rule(name string) rule {
	if p != nil {
		for _, key := range []string{name, ""} {
			if r, ok := p.rules[key]; ok {
				return r
			}
		}
	}
	return rule{mode: ModeStrict}
}

// overriding returns the override in force that ends last; nil if there is none.
func (p *policy) overriding(side Side, name string, local *override, now time.Time) *override {
	var last *override
	consider := func(o *override) {
		if o != nil && o.covers(side, name) && !o.over(now) && (last == nil || o.ends.After(last.ends)) {
			last = o
		}
	}
	consider(local)
	if p != nil {
		for _, o := range p.overrides {
			consider(o)
		}
	}
	return last
}
