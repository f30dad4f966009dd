package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/pando-ca/pando/ca/spiffeid"
)

const (
	// The CA sends what applies to one workload: a handful of rules, and fewer overrides.
	maxRules     = 100
	maxOverrides = 20

	maxPolicyVersion = 64
	maxOverrideID    = 64

	// policyFile is where the last known policy is, in the cache directory.
	policyFile = "mtls.json"

	// maxPolicyFile bounds what is read of it: all rules and overrides at their longest, with
	// every octet of a reason escaped.
	maxPolicyFile = 256 << 10
)

// mtlsAnswer is the policy as the CA sends it.
type mtlsAnswer struct {
	Version   string           `json:"version"`
	Rules     []ruleAnswer     `json:"rules"`
	Overrides []overrideAnswer `json:"overrides"`
}

type ruleAnswer struct {
	Name          string `json:"name"`
	Mode          Mode   `json:"mode"`
	PlaintextDial bool   `json:"plaintext_dial"`
}

type overrideAnswer struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Side      string    `json:"side"`
	ExpiresAt time.Time `json:"expires_at"`
	Reason    string    `json:"reason"`
}

// policy is what the CA says about the modes of this workload's listeners and dialers.
// Immutable; nil is that it has said nothing: strict, and no plaintext.
type policy struct {
	answer    mtlsAnswer
	rules     map[string]rule // by name; "": for all
	overrides []*override     // those that are over too, as long as the CA names them
}

type rule struct {
	mode          Mode
	plaintextDial bool
}

func (p *policy) version() string {
	if p == nil {
		return ""
	}
	return p.answer.Version
}

// readPolicy reads a policy as a whole: if a part of it makes no sense, so does the rest.
func readPolicy(data []byte) (mtlsAnswer, error) {
	var a mtlsAnswer
	if err := json.Unmarshal(data, &a); err != nil {
		return mtlsAnswer{}, fmt.Errorf("decode policy: %w", err)
	}
	return a, a.check()
}

func (a mtlsAnswer) check() error {
	switch {
	case !validVersion(a.Version):
		return fmt.Errorf("policy: version %q", printable(a.Version))
	case len(a.Rules) > maxRules:
		return fmt.Errorf("policy: %d rules, want at most %d", len(a.Rules), maxRules)
	case len(a.Overrides) > maxOverrides:
		return fmt.Errorf("policy: %d overrides, want at most %d", len(a.Overrides), maxOverrides)
	}
	names := make(map[string]bool, len(a.Rules))
	for i, r := range a.Rules {
		switch {
		case r.Name != "" && !validName(r.Name):
			return fmt.Errorf("policy: rule %d: name %q", i+1, printable(r.Name))
		case names[r.Name]:
			return fmt.Errorf("policy: two rules for name %q", r.Name)
		case !r.Mode.enforced():
			return fmt.Errorf("policy: rule %d: mode %q is not known", i+1, printable(string(r.Mode)))
		}
		names[r.Name] = true
	}
	ids := make(map[string]bool, len(a.Overrides))
	for i, o := range a.Overrides {
		if err := o.check(); err != nil {
			return fmt.Errorf("policy: override %d: %w", i+1, err)
		}
		if ids[o.ID] {
			return fmt.Errorf("policy: two overrides %q", printable(o.ID))
		}
		ids[o.ID] = true
	}
	return nil
}

func (o overrideAnswer) check() error {
	switch {
	case o.ID == "" || len(o.ID) > maxOverrideID:
		return fmt.Errorf("ID of %d octets", len(o.ID))
	case o.Name != "" && !validName(o.Name):
		return fmt.Errorf("name %q", printable(o.Name))
	case o.Side != overrideListen && o.Side != overrideDial && o.Side != overrideBoth:
		return fmt.Errorf("side %q is not known", printable(o.Side))
	case o.ExpiresAt.IsZero():
		return errors.New("no end")
	case len(o.Reason) > maxReason:
		return fmt.Errorf("reason of %d octets", len(o.Reason))
	}
	return nil
}

func validVersion(v string) bool {
	for _, c := range []byte(v) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return v != "" && len(v) <= maxPolicyVersion
}

// newPolicy is the policy of a checked answer that came at now. seen is when overrides were
// first seen, by ID: none lasts longer than an hour from then, whatever the CA says.
func newPolicy(a mtlsAnswer, seen map[string]time.Time, now time.Time) *policy {
	p := &policy{answer: a, rules: make(map[string]rule, len(a.Rules))}
	for _, r := range a.Rules {
		p.rules[r.Name] = rule{r.Mode, r.PlaintextDial}
	}
	for _, o := range a.Overrides {
		first, ok := seen[o.ID]
		if !ok || first.After(now) { // the clock was set back
			first = now
		}
		left := min(o.ExpiresAt.Sub(now.Round(0)), first.Add(maxOverride+overrideSkew).Sub(now))
		p.overrides = append(p.overrides, &override{
			id: o.ID, name: o.Name, side: o.Side, reason: o.Reason, from: FromOverride, seen: first, ends: now.Add(left),
		})
	}
	return p
}

// seen returns when the overrides were first seen, by ID.
func (p *policy) seen() map[string]time.Time {
	seen := make(map[string]time.Time)
	if p != nil {
		for _, o := range p.overrides {
			seen[o.id] = o.seen
		}
	}
	return seen
}

// storedPolicy is the policy in the cache directory.
type storedPolicy struct {
	SPIFFEID string               `json:"spiffe_id"` // whom it is for
	Anchor   string               `json:"anchor"`    // as in state: whose word it is
	Policy   json.RawMessage      `json:"policy"`
	Seen     map[string]time.Time `json:"seen,omitempty"`
}

func (p *policy) stored(id spiffeid.ID, anchor string) ([]byte, error) {
	text, err := json.Marshal(p.answer)
	if err != nil {
		return nil, fmt.Errorf("encode policy: %w", err)
	}
	return json.Marshal(storedPolicy{SPIFFEID: id.String(), Anchor: anchor, Policy: text, Seen: p.seen()})
}

// restoredPolicy reads what stored wrote; nil if it is another workload's, or of a CA with other
// roots: one that the operator has turned away from must not let plaintext in.
func restoredPolicy(data []byte, id spiffeid.ID, anchor string, now time.Time) (*policy, error) {
	var file storedPolicy
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	if file.SPIFFEID != id.String() || file.Anchor != anchor {
		return nil, nil //nolint:nilnil // a directory that somebody else has used is no failure
	}
	a, err := readPolicy(file.Policy)
	if err != nil {
		return nil, err
	}
	return newPolicy(a, file.Seen, now), nil
}
