package client

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestNamesOfListenersAndDialers(t *testing.T) {
	for name, want := range map[string]bool{
		"": true, "default": true, "a": true, "0": true, "admin-api.v1_x": true, strings.Repeat("a", 63): true,
		strings.Repeat("a", 64): false, "-a": false, ".a": false, "_a": false, "A": false, "a b": false, "a/b": false, "ä": false, "a\n": false,
	} {
		t.Run(name, func(t *testing.T) {
			if got := panicOf(func() { nameOr(name) }) == ""; got != want {
				t.Errorf("allowed: %t, want %t", got, want)
			}
		})
	}
	if nameOr("") != "default" {
		t.Errorf("no name is %q", nameOr(""))
	}
}

// orders is a policy of the CA that has just come.
func orders(t *testing.T, text string, now time.Time) *policy {
	t.Helper()
	a, err := readPolicy([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return newPolicy(a, nil, now)
}

func TestTheModeOfAListener(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const (
		disabled = `{"version":"1","rules":[{"name":"","mode":"disabled"},{"name":"admin","mode":"strict"}]}`
		emergent = `{"version":"1","rules":[],"overrides":[{"id":"ovr_1","name":"","side":"SIDE","expires_at":"2026-03-01T12:30:00Z","reason":"r"}]}`
		narrow   = `{"version":"1","rules":[],"overrides":[{"id":"ovr_1","name":"admin","side":"both","expires_at":"2026-03-01T12:30:00Z","reason":"r"}]}`
		over     = `{"version":"1","rules":[],"overrides":[{"id":"ovr_1","name":"","side":"both","expires_at":"2026-03-01T12:00:00Z","reason":"r"}]}`
		both     = `{"version":"1","rules":[{"name":"","mode":"disabled"}],"overrides":[{"id":"ovr_1","name":"","side":"both","expires_at":"2026-03-01T12:30:00Z","reason":"r"}]}`
	)
	local := func(d time.Duration) *override {
		return &override{id: "local", side: overrideBoth, from: FromLocal, ends: now.Add(d)}
	}
	for name, test := range map[string]struct {
		coded        Mode
		policy       string // "": the CA has said nothing
		own, general *override
		name         string
		want         Mode
		from         From
	}{
		"the code says strict":                                      {coded: ModeStrict, want: ModeStrict, from: FromCode},
		"the code says permissive":                                  {coded: ModePermissive, want: ModePermissive, from: FromCode},
		"the code says disabled":                                    {coded: ModeDisabled, want: ModeDisabled, from: FromCode},
		"the code is a bound for rules":                             {coded: ModeStrict, policy: disabled, want: ModeStrict, from: FromCode},
		"the code is a bound for overrides":                         {coded: ModeStrict, policy: both, want: ModeStrict, from: FromCode},
		"the code is a bound for the program's override":            {coded: ModeStrict, general: local(time.Minute), want: ModeStrict, from: FromCode},
		"but not for that of the listener itself":                   {coded: ModeStrict, own: local(time.Minute), want: ModePermissive, from: FromLocal},
		"whatever its mode":                                         {coded: ModeDisabled, own: local(time.Minute), want: ModePermissive, from: FromLocal},
		"until it is over":                                          {coded: ModeStrict, own: local(0), want: ModeStrict, from: FromCode},
		"nothing is known":                                          {coded: ModePolicy, want: ModeStrict, from: FromPolicy},
		"a rule for all":                                            {coded: ModePolicy, policy: disabled, name: "web", want: ModeDisabled, from: FromPolicy},
		"a rule for the name":                                       {coded: ModePolicy, policy: disabled, name: "admin", want: ModeStrict, from: FromPolicy},
		"no rule for anything":                                      {coded: ModePolicy, policy: narrow, name: "web", want: ModeStrict, from: FromPolicy},
		"an override for the name":                                  {coded: ModePolicy, policy: narrow, name: "admin", want: ModePermissive, from: FromOverride},
		"an override of both sides":                                 {coded: ModePolicy, policy: both, want: ModePermissive, from: FromOverride},
		"an override of listeners":                                  {coded: ModePolicy, policy: strings.Replace(emergent, "SIDE", "listen", 1), want: ModePermissive, from: FromOverride},
		"an override of dialers":                                    {coded: ModePolicy, policy: strings.Replace(emergent, "SIDE", "dial", 1), want: ModeStrict, from: FromPolicy},
		"an override that ends now":                                 {coded: ModePolicy, policy: over, want: ModeStrict, from: FromPolicy},
		"the program's override":                                    {coded: ModePolicy, general: local(time.Minute), want: ModePermissive, from: FromLocal},
		"the override that ends last is the one to name":            {coded: ModePolicy, policy: both, general: local(time.Minute), want: ModePermissive, from: FromOverride},
		"and the program's, if that is":                             {coded: ModePolicy, policy: both, general: local(time.Hour), want: ModePermissive, from: FromLocal},
		"an override of the program is over, that of the CA is not": {coded: ModePolicy, policy: both, general: local(0), want: ModePermissive, from: FromOverride},
	} {
		t.Run(name, func(t *testing.T) {
			var p *policy
			if test.policy != "" {
				p = orders(t, test.policy, now)
			}
			got := p.listening(nameOr(test.name), test.coded, [2]*override{test.own, test.general}, now)
			if got.mode != test.want || got.from != test.from || (got.override != nil) != (got.from == FromOverride || got.from == FromLocal) {
				t.Errorf("mode %s from %s with override %v, want %s from %s", got.mode, got.from, got.override, test.want, test.from)
			}
		})
	}
}

func TestWhetherADialerUsesPlaintext(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const (
		allowed  = `{"version":"1","rules":[{"name":"","mode":"strict","plaintext_dial":true},{"name":"db","mode":"strict"}]}`
		emergent = `{"version":"1","rules":[],"overrides":[{"id":"ovr_1","name":"","side":"SIDE","expires_at":"2026-03-01T12:30:00Z","reason":"r"}]}`
	)
	dialing := strings.Replace(emergent, "SIDE", "dial", 1)
	local := &override{id: "local", side: overrideBoth, from: FromLocal, ends: now.Add(time.Minute)}
	for name, test := range map[string]struct {
		mode   Mode
		allow  bool
		policy string
		local  *override
		name   string
		want   string // in the error; "": it does
	}{
		"mutual":                                    {mode: ModeMutual, want: "mode mutual"},
		"mutual, the code allows it":                {mode: ModeMutual, allow: true, want: "mode mutual"},
		"mutual, a rule allows it":                  {mode: ModeMutual, policy: allowed, want: "mode mutual"},
		"mutual, code and rule allow it":            {mode: ModeMutual, allow: true, policy: allowed, want: "mode mutual"},
		"mutual, an override and not the code":      {mode: ModeMutual, policy: dialing, want: "not the code"},
		"mutual, an override and the code":          {mode: ModeMutual, allow: true, policy: dialing},
		"mutual, the program's override":            {mode: ModeMutual, allow: true, local: local},
		"mutual, an override of listeners":          {mode: ModeMutual, allow: true, policy: strings.Replace(emergent, "SIDE", "listen", 1), want: "mode mutual"},
		"simple, whatever there is":                 {mode: ModeSimple, allow: true, policy: dialing, local: local, want: "mode simple"},
		"disabled, nothing is known":                {mode: ModeDisabled, want: "no rule and no override"},
		"disabled, a rule":                          {mode: ModeDisabled, policy: allowed},
		"disabled, a rule for the name that has it": {mode: ModeDisabled, policy: allowed, name: "db", want: "no rule and no override"},
		"disabled, an override":                     {mode: ModeDisabled, policy: dialing},
		"disabled, the program's override":          {mode: ModeDisabled, local: local},
		"disabled, an override of listeners":        {mode: ModeDisabled, policy: strings.Replace(emergent, "SIDE", "listen", 1), want: "no rule and no override"},
	} {
		t.Run(name, func(t *testing.T) {
			var p *policy
			if test.policy != "" {
				p = orders(t, test.policy, now)
			}
			err := p.dialing(nameOr(test.name), test.mode, test.allow, test.local, now)
			if (err == nil) != (test.want == "") || err != nil && (!errors.Is(err, ErrPlaintext) || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

func TestAnOverrideIsBelievedOverByEitherClock(t *testing.T) {
	now := time.Now()
	o := &override{ends: now.Add(time.Hour)}
	wall := func(d time.Duration) time.Time { return now.Round(0).Add(d) }
	for name, test := range map[string]struct {
		at   time.Time
		want bool
	}{
		"before":                         {now.Add(time.Hour - 1), false},
		"at its end":                     {now.Add(time.Hour), true},
		"the wall clock was set forward": {wall(time.Hour), true},
		"the wall clock was set back":    {wall(-time.Hour), false},
		"a day later":                    {now.Add(24 * time.Hour), true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := o.over(test.at); got != test.want {
				t.Errorf("over: %t, want %t", got, test.want)
			}
		})
	}
}
