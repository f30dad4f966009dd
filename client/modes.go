package client

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"time"
)

// modes is what a Source knows about the modes of its listeners and dialers. Decisions are
// made anew for each connection, from what is known at that moment; whoever changes what is
// known calls settle afterwards, which closes the plaintext connections that are not allowed
// any more.
type modes struct {
	mu        sync.Mutex              // guards what follows; the guard's is never taken while it is held
	policy    *policy                 // nil: the CA has said nothing
	kept      *policy                 // that is in the cache directory
	updated   time.Time               // when it last said something that was understood
	refused   string                  // the version of a policy that was not; "": none
	err       error                   // why not
	local     map[*Listener]*override // of the program, by listener; nil: for all
	listeners map[*Listener]verdict   // that are open, with what was in force when settle looked
	announced map[string]*override    // that the log knows to be in force
	timer     *time.Timer             // that looks again when the next override ends
}

// verdict returns which mode of the listener is in force at now.
func (l *Listener) verdict(now time.Time) verdict {
	m := &l.source.modes
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.verdict(l, now)
}

// verdict is the same for a caller that holds mu.
func (m *modes) verdict(l *Listener, now time.Time) verdict {
	return m.policy.listening(l.name, l.coded, [2]*override{m.local[l], m.local[nil]}, now)
}

// plaintext returns why the dialer may not use plaintext at now; nil: it is to use it.
func (d *Dialer) plaintext(now time.Time) error {
	m := &d.source.modes
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.policy.dialing(d.name, d.cfg.Mode, d.cfg.AllowPlaintext, m.local[nil], now)
}

// opened takes a listener in.
func (s *Source) opened(l *Listener, now time.Time) {
	m := &s.modes
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.listeners == nil {
		m.listeners = make(map[*Listener]verdict)
	}
	m.listeners[l] = m.verdict(l, now)
}

// shutDown forgets a listener. Its override goes on for the connections that it has accepted.
func (s *Source) shutDown(l *Listener) {
	m := &s.modes
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.listeners, l)
}

// settle does what follows when the modes have changed: it tells the log, closes plaintext
// connections that would be refused by now, and sees to it that the end of the next override
// is not missed.
func (s *Source) settle(now time.Time) {
	m := &s.modes
	m.mu.Lock()
	m.forget(now)
	m.arm(s, now)
	begun, ended := m.announce(now)
	turned := m.turn(now)
	m.mu.Unlock()

	for _, o := range ended {
		s.log.Info("override of the mTLS modes is over", "spiffe_id", s.ID(), "override", printable(o.id), "reason", printable(o.reason))
	}
	for _, o := range begun {
		s.log.Warn("override of the mTLS modes is in force", "spiffe_id", s.ID(), "override", printable(o.id), "from", o.from,
			"name", o.name, "side", o.side, "expires", o.ends.Round(0), "reason", printable(o.reason))
	}
	for l, v := range turned {
		s.log.Info("listener has another mode", "spiffe_id", s.ID(), "listener", l.name, "mode", v.mode, "from", v.from)
	}
	s.cutPlaintext(now)
}

// forget drops the local overrides that are over. The caller of it and of the next five
// holds mu.
func (m *modes) forget(now time.Time) {
	maps.DeleteFunc(m.local, func(_ *Listener, o *override) bool { return o.over(now) })
}

// overrides returns all that are known, by a key of the log. One that replaces another of the
// program has a key of its own.
func (m *modes) overrides() map[string]*override {
	found := make(map[string]*override)
	for _, o := range m.local {
		found[fmt.Sprintf("local %p", o)] = o
	}
	if m.policy != nil {
		for _, o := range m.policy.overrides {
			found["ca "+o.id] = o
		}
	}
	return found
}

// inForce returns those of them that are in force.
func (m *modes) inForce(now time.Time) map[string]*override {
	found := m.overrides()
	maps.DeleteFunc(found, func(_ string, o *override) bool { return o.over(now) })
	return found
}

// arm sets the timer to the end of the next override. It looks at least once a minute, since
// the wall clock may be set: forward, so that an override is over, and back, so that it is
// not. Only one that is over by the monotonic clock never comes back.
func (m *modes) arm(s *Source, now time.Time) {
	if m.timer != nil {
		m.timer.Stop()
		m.timer = nil
	}
	next := time.Duration(0)
	for _, o := range m.overrides() {
		if left := o.ends.Sub(now); left > 0 {
			next = min(cmp.Or(next, maxNap), left)
		}
	}
	if next > 0 {
		m.timer = time.AfterFunc(next, func() { s.settle(time.Now()) })
	}
}

// announce returns the overrides that are new in force, and those that are not any more.
func (m *modes) announce(now time.Time) (begun, ended []*override) {
	current := m.inForce(now)
	for key, o := range current {
		if m.announced[key] == nil {
			begun = append(begun, o)
		}
	}
	for key, o := range m.announced {
		if current[key] == nil {
			ended = append(ended, o)
		}
	}
	m.announced = current
	return begun, ended
}

// turn returns the listeners whose mode is another than before.
func (m *modes) turn(now time.Time) map[*Listener]verdict {
	turned := make(map[*Listener]verdict)
	for l, before := range m.listeners {
		v := m.verdict(l, now)
		if v.mode != before.mode || v.from != before.from {
			turned[l] = v
		}
		m.listeners[l] = v
	}
	return turned
}

// cutPlaintext closes the plaintext connections that would be refused by now.
func (s *Source) cutPlaintext(now time.Time) {
	shut := 0
	for _, w := range s.guard.plaintext() {
		if err := w.refused(now); err != nil {
			w.shut(err)
			shut++
		}
	}
	if shut > 0 {
		s.log.Info("plaintext connections closed", "spiffe_id", s.ID(), "closed", shut)
	}
}

// told takes in the policy that a poll has brought, and reports whether it is news. One that
// makes no sense changes nothing but the Status.
func (s *Source) told(data json.RawMessage, now time.Time) (news bool) {
	if len(data) == 0 {
		return false // a CA that is too old to have one, or a poll that did not ask
	}
	a, err := readPolicy(data)
	m := &s.modes
	m.mu.Lock()
	if err != nil {
		repeated := m.err != nil && m.err.Error() == err.Error()
		m.err, m.refused = err, ""
		if validVersion(a.Version) {
			m.refused = a.Version // or the CA would repeat it at once, poll for poll
		}
		m.mu.Unlock()
		if !repeated {
			s.log.Error("mTLS policy of the CA is not understood, the one before stays", "spiffe_id", s.ID(), "error", err)
		}
		return false
	}
	m.err, m.refused, m.updated = nil, "", now
	if m.policy != nil && m.policy.version() == a.Version {
		m.mu.Unlock()
		return false
	}
	next := newPolicy(a, m.policy.seen(), now)
	m.policy = next
	m.mu.Unlock()
	s.log.Info("mTLS policy adopted", "spiffe_id", s.ID(), "version", a.Version, "rules", len(a.Rules), "overrides", len(a.Overrides))
	s.settle(now)
	signal(s.unsaved)
	return true
}

// policyVersion is what to ask the CA for another policy with.
func (s *Source) policyVersion() string {
	s.modes.mu.Lock()
	defer s.modes.mu.Unlock()
	if s.modes.refused != "" {
		return s.modes.refused
	}
	return s.modes.policy.version()
}

// known returns what [Status] says about the policy.
func (m *modes) known() (version string, updated time.Time, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.policy.version(), m.updated, m.err
}

// restorePolicy reads the last known policy from the cache directory. Without, or if it
// makes no sense, it is strict until the CA has said something.
func (s *Source) restorePolicy(now time.Time) {
	if s.cache == nil {
		return
	}
	data, err := s.cache.read(policyFile, maxPolicyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var p *policy
	if err == nil {
		p, err = restoredPolicy(data, s.ID(), anchorOf(s.configured), now)
	}
	s.modes.mu.Lock()
	s.modes.policy = p
	if p != nil && len(p.overrides) == 0 {
		s.modes.kept = p // else it is written again: when they were first seen may be another time now
	}
	if err != nil {
		s.modes.err = fmt.Errorf("%s in the cache directory: %w", policyFile, err)
	}
	s.modes.mu.Unlock()
	if err != nil {
		s.log.Error("mTLS policy of before is of no use", "spiffe_id", s.ID(), "error", err)
	}
	s.settle(now)
	signal(s.unsaved)
}

// Overrides returns the emergency overrides that are in force, in the order of their ends.
func (s *Source) Overrides() []Override {
	s.modes.mu.Lock()
	defer s.modes.mu.Unlock()
	current := s.modes.inForce(time.Now())
	overrides := make([]Override, 0, len(current))
	for _, o := range current {
		overrides = append(overrides, o.public())
	}
	slices.SortFunc(overrides, func(a, b Override) int {
		return cmp.Or(a.Expires.Compare(b.Expires), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Name, b.Name))
	})
	return overrides
}

// Listeners returns the state of the listeners that are open, one for each name, in the
// order of the names. It is cheap, and made for a collector of metrics.
func (s *Source) Listeners() []ListenerStatus {
	now := time.Now()
	m := &s.modes
	m.mu.Lock()
	defer m.mu.Unlock()
	byName := make(map[string]ListenerStatus)
	for l := range m.listeners {
		st := l.status(m.verdict(l, now))
		if other, ok := byName[st.Name]; ok {
			st = st.and(other)
		}
		byName[st.Name] = st
	}
	return slices.SortedFunc(maps.Values(byName), func(a, b ListenerStatus) int { return cmp.Compare(a.Name, b.Name) })
}

// and merges what two listeners of one name are: what is weakest, and what is latest.
func (st ListenerStatus) and(o ListenerStatus) ListenerStatus {
	strength := []Mode{ModeDisabled, ModePermissive, ModeStrict}
	if cmp.Or(slices.Index(strength, o.Mode)-slices.Index(strength, st.Mode), cmp.Compare(o.From, st.From)) < 0 {
		st.Mode, st.From, st.OverrideExpires, st.OverrideReason = o.Mode, o.From, o.OverrideExpires, o.OverrideReason
	}
	st.Since = later(st.Since, o.Since) // it is only since then that all of them are looked at
	st.LastMTLS, st.LastPlaintext = later(st.LastMTLS, o.LastMTLS), later(st.LastPlaintext, o.LastPlaintext)
	return st
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
