package client

import (
	"fmt"
	"time"
)

const (
	// maxOverride is how long an override lasts at most. Who needs longer says so again.
	maxOverride = time.Hour

	// overrideSkew is by how much the clock of the CA may be ahead when it says when an
	// override ends.
	overrideSkew = time.Minute

	// maxReason is the longest reason of an override, in octets.
	maxReason = 500
)

// Override is an emergency override that is in force: listeners in [ModePolicy] that it
// covers take plaintext too, and dialers that it covers and whose code allows it use it.
type Override struct {
	ID      string    // that the CA gave; "local" for one of the program
	Name    string    // of the listener or dialer that it is for; "": all
	Side    string    // "listen", "dial" or "both"
	Reason  string    // as given by whoever began it
	Expires time.Time // when it reverts by itself
	From    From      // FromOverride or FromLocal
}

// The sides of an override, as they are said on the wire.
const (
	overrideListen = "listen"
	overrideDial   = "dial"
	overrideBoth   = "both"
)

// override is an Override as it is decided by. Immutable.
type override struct {
	id     string
	name   string
	side   string
	reason string
	from   From
	seen   time.Time // when this side first saw it
	ends   time.Time // with the monotonic clock
}

// covers reports whether it is for the listener or dialer of that name.
func (o *override) covers(side Side, name string) bool {
	return (o.name == "" || o.name == name) &&
		(o.side == overrideBoth || o.side == overrideListen && side == SideServer || o.side == overrideDial && side == SideClient)
}

// over reports whether it has ended at now: whichever clock says so is believed, that of the
// wall, which may be set, or the monotonic one, which stands still while a machine sleeps.
func (o *override) over(now time.Time) bool {
	return !now.Before(o.ends) || !now.Round(0).Before(o.ends.Round(0))
}

func (o *override) public() Override {
	return Override{ID: o.id, Name: o.name, Side: o.side, Reason: o.reason, Expires: o.ends.Round(0), From: o.from}
}

// localOverride checks what a program asks for.
func localOverride(name, side string, d time.Duration, reason string, now time.Time) (*override, error) {
	switch {
	case d <= 0 || d > maxOverride:
		return nil, fmt.Errorf("pando client: override of %s: want more than 0 and at most %s", d, maxOverride)
	case reason == "" || len(reason) > maxReason:
		return nil, fmt.Errorf("pando client: override: the reason has %d octets, want 1 to %d", len(reason), maxReason)
	}
	return &override{id: "local", name: name, side: side, reason: reason, from: FromLocal, seen: now, ends: now.Add(d)}, nil
}

// Override begins an emergency override by this program alone: for as long as d says, at
// most an hour, all listeners in [ModePolicy] take plaintext too and all dialers with
// AllowPlaintext or in [ModeDisabled] use it. Modes that the code names stay, see
// [Listener.Override]. It replaces one that this method began before. It ends by itself, at
// that instant, and then the connections that only it allowed are closed; end ends it
// earlier, and may be called at any time. reason is for the log and for [Status].
func (s *Source) Override(d time.Duration, reason string) (end func(), err error) {
	o, err := localOverride("", overrideBoth, d, reason, time.Now())
	if err != nil {
		return nil, err
	}
	return s.overrule(nil, o), nil
}

// Override begins an emergency override of this listener, whatever its mode: it takes
// mutual TLS and plaintext. All else is as with [Source.Override].
func (l *Listener) Override(d time.Duration, reason string) (end func(), err error) {
	o, err := localOverride(l.name, overrideListen, d, reason, time.Now())
	if err != nil {
		return nil, err
	}
	return l.source.overrule(l, o), nil
}

// overrule puts a local override into force, and returns what ends it.
func (s *Source) overrule(l *Listener, o *override) (end func()) {
	m := &s.modes
	m.mu.Lock()
	if m.local == nil {
		m.local = make(map[*Listener]*override)
	}
	m.local[l] = o
	m.mu.Unlock()
	s.settle(time.Now())
	return func() {
		m.mu.Lock()
		if m.local[l] == o {
			delete(m.local, l)
		}
		m.mu.Unlock()
		s.settle(time.Now())
	}
}
