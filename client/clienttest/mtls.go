package clienttest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/pando-ca/pando/client"
)

// maxOverride is how long an override lasts at most, as with Pando.
const maxOverride = time.Hour

// Rule is what the CA's policy says of the listeners and dialers of a workload.
type Rule struct {
	Name          string      // of the listener or dialer; "": all that have no rule of their own
	Mode          client.Mode // of listeners: strict, permissive or disabled
	PlaintextDial bool        // whether dialers whose code allows plaintext may use it
}

// Override is an emergency override: it lets plaintext in until it ends by itself.
type Override struct {
	Name   string        // of the listener or dialer; "": all
	Side   string        // "listen", "dial" or "both"; "": both
	Reason string        // for people
	Lasts  time.Duration // at most an hour
}

// Report is what a program has said of its listeners.
type Report struct {
	At        time.Time // when it came, by the clock of the program
	ID        string
	Instance  string                  // 16 hex digits, another one for each Source
	Listeners []client.ListenerStatus // without overrides; Since and the Last times are the program's
}

// modes is what the CA says of modes, and was told of them. Its mutex guards it.
type modes struct {
	rules     map[string][]mtlsRule // by SPIFFE ID; "" is for who has none
	overrides []*override           // in the order of their begin
	begun     int                   // overrides, ever
	reports   []Report
}

// override is one that was begun.
type override struct {
	id   string // of the workload; "": all
	wire mtlsOverride
	ends time.Time // by the clock of the program
}

// SetModes replaces the policy for a SPIFFE ID; "" is for every workload that has none of its own.
// Without rules it says nothing: strict, and no plaintext. Sources that follow the CA know of it
// at once. It panics on a mode that no listener has.
func (c *CA) SetModes(id string, rules ...Rule) {
	c.workloadOrAll(id)
	wire := make([]mtlsRule, 0, len(rules))
	for _, r := range rules {
		if !ofListener(r.Mode) {
			panic(fmt.Sprintf("clienttest: no listener has the mode %q", r.Mode))
		}
		wire = append(wire, mtlsRule{r.Name, string(r.Mode), r.PlaintextDial})
	}
	c.change(func() {
		if c.modes.rules == nil {
			c.modes.rules = make(map[string][]mtlsRule)
		}
		c.modes.rules[id] = wire
	})
}

func (c *CA) workloadOrAll(id string) {
	if id != "" {
		c.workload(id)
	}
}

// ofListener reports whether a listener can be in a mode.
func ofListener(mode client.Mode) bool {
	return slices.Contains([]client.Mode{client.ModeStrict, client.ModePermissive, client.ModeDisabled}, mode)
}

// Override begins an emergency override for a SPIFFE ID, or all if that is "", and returns what
// ends it before its time. It panics if it would last longer than an hour, or has no such side.
func (c *CA) Override(id string, o Override) (end func()) {
	c.workloadOrAll(id)
	if o.Side == "" {
		o.Side = "both"
	}
	if o.Lasts <= 0 || o.Lasts > maxOverride || !slices.Contains([]string{"listen", "dial", "both"}, o.Side) {
		panic(fmt.Sprintf("clienttest: override of %s for side %q", o.Lasts, o.Side))
	}
	begun := &override{id: id, ends: time.Now().Add(o.Lasts)}
	c.change(func() {
		c.modes.begun++
		begun.wire = mtlsOverride{
			ID: fmt.Sprintf("ovr_%024x", c.modes.begun), Name: o.Name, Side: o.Side, Reason: o.Reason,
			ExpiresAt: c.now().Add(o.Lasts).UTC(),
		}
		c.modes.overrides = append(c.modes.overrides, begun)
	})
	timer := time.AfterFunc(o.Lasts, func() { c.change(func() {}) }) // polls look again
	return func() {
		timer.Stop()
		c.change(func() {
			c.modes.overrides = slices.DeleteFunc(c.modes.overrides, func(o *override) bool { return o == begun })
		})
	}
}

// Reports returns what programs have said of their listeners, in the order of arrival; of many the
// last ones.
func (c *CA) Reports() []Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.modes.reports)
}

// of returns the policy for a workload. The caller holds the mutex.
func (m *modes) of(id string, now time.Time) *mtls {
	rules, own := m.rules[id]
	if !own {
		rules = m.rules[""]
	}
	policy := &mtls{Rules: append([]mtlsRule{}, rules...), Overrides: []mtlsOverride{}}
	for _, o := range m.overrides {
		if (o.id == "" || o.id == id) && now.Before(o.ends) {
			policy.Overrides = append(policy.Overrides, o.wire)
		}
	}
	digest := sha256.Sum256(must(json.Marshal(policy)))
	policy.Version = hex.EncodeToString(digest[:16])
	return policy
}

// report takes down what the holder of a certificate says of its listeners.
func (c *CA) report(x *exchange) error {
	rec, err := c.peer(x)
	if err != nil {
		return err
	}
	var in reportRequest
	if err := x.decode(&in); err != nil {
		return err
	}
	told := Report{At: time.Now(), ID: rec.id.String(), Instance: in.Instance}
	if !regexp.MustCompile(`^[0-9a-f]{16}$`).MatchString(in.Instance) || len(in.Listeners) > 64 {
		return invalid("instance or listeners: not 16 hex digits, or too many")
	}
	for _, l := range in.Listeners {
		switch {
		case !ofListener(l.Mode):
			return invalid("listeners: mode: none of strict, permissive, disabled")
		case !slices.Contains([]client.From{client.FromCode, client.FromPolicy, client.FromOverride, client.FromLocal}, l.From):
			return invalid("listeners: from: none of code, policy, override, local")
		case l.ObservedSince.IsZero():
			return invalid("listeners: observed_since: needed")
		}
		told.Listeners = append(told.Listeners, client.ListenerStatus{
			Name: l.Name, Mode: l.Mode, From: l.From, Since: l.ObservedSince, LastMTLS: l.LastMTLS, LastPlaintext: l.LastPlaintext,
		})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.modes.reports) == maxRequests {
		c.modes.reports = slices.Clone(c.modes.reports[maxRequests/10:])
	}
	c.modes.reports = append(c.modes.reports, told)
	return nil
}
