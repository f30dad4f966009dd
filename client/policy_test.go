package client

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca/spiffeid"
)

func TestPoliciesThatMakeNoSenseAreRefusedAsAWhole(t *testing.T) {
	rules := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`{"name":"n%d","mode":"strict"}`, i))
		}
		return `{"version":"a","rules":[` + strings.Join(list, ",") + `]}`
	}
	override := func(text string) string {
		return `{"version":"a","overrides":[` + text + `]}`
	}
	good := `{"id":"ovr_1","name":"","side":"both","expires_at":"2026-03-01T12:00:00Z","reason":"r"}`
	for name, test := range map[string]struct {
		text string
		want string // in the error; "": understood
	}{
		"the least":                   {`{"version":"0123456789abcdef"}`, ""},
		"fields of a newer CA":        {`{"version":"a","rules":[{"name":"","mode":"strict","colour":"red"}],"more":1}`, ""},
		"as many rules as may be":     {rules(maxRules), ""},
		"an override":                 {override(good), ""},
		"not JSON":                    {`{`, "decode"},
		"another shape":               {`[]`, "decode"},
		"null":                        {`null`, "version"},
		"no version":                  {`{}`, "version"},
		"a version that is too long":  {`{"version":"` + strings.Repeat("a", 65) + `"}`, "version"},
		"a version that is not hex":   {`{"version":"a&wait=1h"}`, "version"},
		"more rules than may be":      {rules(maxRules + 1), "101 rules"},
		"an unknown mode":             {`{"version":"a","rules":[{"name":"","mode":"strict"},{"name":"x","mode":"lenient"}]}`, `"lenient"`},
		"a mode that is policy":       {`{"version":"a","rules":[{"name":"","mode":"policy"}]}`, `"policy"`},
		"no mode":                     {`{"version":"a","rules":[{"name":""}]}`, "mode"},
		"a name that is none":         {`{"version":"a","rules":[{"name":"A b","mode":"strict"}]}`, "name"},
		"two rules for a name":        {`{"version":"a","rules":[{"name":"x","mode":"strict"},{"name":"x","mode":"disabled"}]}`, "two rules"},
		"more overrides than may be":  {override(strings.Repeat(good+",", maxOverrides) + good), "21 overrides"},
		"two overrides with an ID":    {override(good + "," + good), "two overrides"},
		"an override without an ID":   {override(strings.Replace(good, "ovr_1", "", 1)), "ID"},
		"an ID that is too long":      {override(strings.Replace(good, "ovr_1", strings.Repeat("x", 65), 1)), "ID"},
		"an unknown side":             {override(strings.Replace(good, "both", "all", 1)), `"all"`},
		"an override without an end":  {override(strings.Replace(good, "2026-03-01T12:00:00Z", "0001-01-01T00:00:00Z", 1)), "no end"},
		"an end that is no time":      {override(strings.Replace(good, "2026-03-01T12:00:00Z", "noon", 1)), "decode"},
		"a reason that is too long":   {override(strings.Replace(good, `"r"`, `"`+strings.Repeat("r", 501)+`"`, 1)), "reason"},
		"an override's name is none":  {override(strings.Replace(good, `"name":""`, `"name":"*"`, 1)), "name"},
		"control characters in a log": {`{"version":"a","rules":[{"name":"\u001b[31m","mode":"strict"}]}`, `\x1b`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readPolicy([]byte(test.text))
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

func TestAnOverrideEndsWithinAnHourWhateverTheCASays(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		expires time.Time
		seen    time.Time // zero: never
		want    time.Duration
	}{
		"soon":                                {now.Add(time.Minute), time.Time{}, time.Minute},
		"in an hour by a clock that is ahead": {now.Add(time.Hour + 30*time.Second), time.Time{}, time.Hour + 30*time.Second},
		"in two hours":                        {now.Add(2 * time.Hour), time.Time{}, time.Hour + time.Minute},
		"never":                               {time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), time.Time{}, time.Hour + time.Minute},
		"it was seen before":                  {now.Add(time.Hour), now.Add(-50 * time.Minute), 11 * time.Minute},
		"long before":                         {now.Add(time.Hour), now.Add(-5 * time.Hour), -4*time.Hour + time.Minute},
		"the clock was set back since":        {now.Add(2 * time.Hour), now.Add(3 * time.Hour), time.Hour + time.Minute},
		"it is over":                          {now.Add(-time.Minute), time.Time{}, -time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			seen := map[string]time.Time{"ovr_0": now}
			if !test.seen.IsZero() {
				seen["ovr_1"] = test.seen
			}
			a := mtlsAnswer{Version: "1", Overrides: []overrideAnswer{{ID: "ovr_1", Side: overrideBoth, ExpiresAt: test.expires}}}
			if got := newPolicy(a, seen, now).overrides[0].ends.Sub(now); got != test.want {
				t.Errorf("it ends in %s, want %s", got, test.want)
			}
		})
	}
}

func TestAPolicyIsReadAsItWasStored(t *testing.T) {
	now := time.Now().Round(0)
	id := mustID("spiffe://example.org/web")
	p := orders(t, fmt.Sprintf(`{"version":"ab","rules":[{"name":"x","mode":"permissive","plaintext_dial":true}],
		"overrides":[{"id":"ovr_1","name":"y","side":"dial","expires_at":%q,"reason":"r"}]}`, now.Add(2*time.Hour).Format(time.RFC3339Nano)), now)
	file := must(p.stored(id, "anchor"))
	later := now.Add(30 * time.Minute)
	got, err := restoredPolicy(file, id, "anchor", later)
	if err != nil || got.version() != "ab" || got.rule("x") != (rule{ModePermissive, true}) || !got.overrides[0].ends.Equal(p.overrides[0].ends) {
		t.Fatalf("%+v, %v", got, err)
	}
	if other, err := restoredPolicy(file, mustID("spiffe://example.org/other"), "anchor", later); other != nil || err != nil {
		t.Errorf("of another identity: %+v, %v", other, err)
	}
	if other, err := restoredPolicy(file, id, "another", later); other != nil || err != nil {
		t.Errorf("of other roots: %+v, %v", other, err)
	}
	if _, err := restoredPolicy(file[:len(file)-1], id, "anchor", later); err == nil {
		t.Error("half a file is understood")
	}
}

const (
	permissivePolicy = `{"version":"a1","rules":[{"name":"","mode":"permissive","plaintext_dial":true}],"overrides":[]}`
	strictPolicy     = `{"version":"a2","rules":[],"overrides":[]}`
)

// modeOf is the mode of the only listener of a Source.
func modeOf(t *testing.T, s *Source) (Mode, From) {
	t.Helper()
	listeners := s.Listeners()
	if len(listeners) != 1 {
		t.Fatalf("listeners: %+v", listeners)
	}
	return listeners[0].Mode, listeners[0].From
}

func TestThePolicyOfTheCAIsFollowed(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.open(nil)
		l := s.Listener(w.net.listen(webHost), ListenerConfig{Authorize: anyone, Mode: ModePolicy})
		defer l.Close()
		pass(time.Minute)
		expect := func(want Mode, version string, fails bool) {
			t.Helper()
			mode, from := modeOf(t, s)
			st := s.Status()
			if mode != want || from != FromPolicy || st.PolicyVersion != version || (st.PolicyError != nil) != fails || !st.Following || st.FollowError != nil {
				t.Errorf("mode %s from %s, version %q, %v, %v", mode, from, st.PolicyVersion, st.PolicyError, st.FollowError)
			}
		}
		expect(ModeStrict, "", false)
		w.decree(permissivePolicy)
		synctest.Wait() // the poll is answered at that instant
		expect(ModePermissive, "a1", false)
		updated := time.Now()
		pass(time.Minute)
		if polls := w.polled(); !polls[0].MTLS || polls[0].MTLSVersion != "" || polls[len(polls)-1].MTLSVersion != "a1" {
			t.Errorf("polls: %+v", polls)
		}
		if st := s.Status(); st.PolicyUpdated.Before(updated) {
			t.Errorf("updated %s", st.PolicyUpdated)
		}
		// Nonsense changes nothing, and is not asked for again and again.
		polls := len(w.polled())
		w.decree(`{"version":"bad","rules":[{"name":"","mode":"disabled"},{"name":"x","mode":"whatever"}]}`)
		pass(10 * time.Minute)
		expect(ModePermissive, "a1", true)
		if n := len(w.polled()) - polls; n > 22 || w.polled()[polls+2].MTLSVersion != "bad" {
			t.Errorf("%d polls in ten minutes", n)
		}
		// New roots come in all the same.
		w.publish(8, w.root)
		synctest.Wait()
		if st := s.Status(); st.BundleSequence != 8 {
			t.Errorf("bundle %d", st.BundleSequence)
		}
		w.decree(strictPolicy)
		pass(time.Second)
		expect(ModeStrict, "a2", false)
	})
}

func TestAnswersThatAreNoPolicyKeepNothingElseOut(t *testing.T) {
	for name, text := range map[string]string{"a number": `7`, "a list": `[]`, "a version that cannot be sent back": `{"version":"&&"}`} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				s := w.open(nil)
				pass(time.Minute)
				w.decree(text)
				w.publish(8, w.root)
				pass(time.Minute)
				if st := s.Status(); st.PolicyError == nil || st.BundleSequence != 8 || st.FollowError != nil {
					t.Errorf("%v, bundle %d, %v", st.PolicyError, st.BundleSequence, st.FollowError)
				}
				if n := len(w.polled()); n > 30 {
					t.Errorf("%d polls", n)
				}
			})
		})
	}
}

func TestACAThatIsTooOldForPoliciesIsFollowedAllTheSame(t *testing.T) {
	for name, test := range map[string]struct {
		edit        func(w *world)
		revocations bool
	}{
		"it ignores the question":             {func(*world) {}, true},
		"it refuses it":                       {func(w *world) { w.noPolicies = true }, true},
		"it refuses that for revocations too": {func(w *world) { w.noPolicies, w.ignorant = true, true }, false},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				test.edit(w)
				s := w.open(func(c *Config) { c.CacheDir = filepath.Join(w.t.TempDir(), "cache") })
				s.Listener(nil, ListenerConfig{Authorize: anyone, Mode: ModePolicy})
				pass(2 * time.Minute)
				mode, _ := modeOf(t, s)
				st := s.Status()
				if !st.Following || st.PolicyVersion != "" || st.PolicyError != nil || mode != ModeStrict || st.RevocationsUpdated.IsZero() == test.revocations {
					t.Errorf("status %+v, mode %s", st, mode)
				}
			})
		})
	}
}

func TestTheLastKnownPolicyHoldsWhileTheCAIsAway(t *testing.T) {
	const emergency = `{"version":"a3","rules":[{"name":"","mode":"strict"}],"overrides":[{"id":"ovr_1","name":"","side":"both","expires_at":"2099-01-01T00:00:00Z","reason":"drill"}]}`
	type test struct {
		policy string
		spoil  func(file string)
		away   time.Duration
		want   Mode
		from   From
		fails  bool
	}
	keep := func(string) {}
	for name, test := range map[string]test{
		"a rule":                               {permissivePolicy, keep, 20 * time.Minute, ModePermissive, FromPolicy, false},
		"an override":                          {emergency, keep, 10 * time.Minute, ModePermissive, FromOverride, false},
		"an override that is over by then":     {emergency, keep, 61 * time.Minute, ModeStrict, FromPolicy, false},
		"there is no file":                     {permissivePolicy, func(file string) { os.Remove(file) }, time.Minute, ModeStrict, FromPolicy, false},
		"the file is nonsense":                 {permissivePolicy, func(file string) { os.WriteFile(file, []byte("{}x"), 0o600) }, time.Minute, ModeStrict, FromPolicy, true},
		"the file has an unknown mode":         {permissivePolicy, func(file string) { replaceIn(file, "permissive", "generous") }, time.Minute, ModeStrict, FromPolicy, true},
		"the file is endless":                  {permissivePolicy, func(file string) { os.Truncate(file, maxPolicyFile+1) }, time.Minute, ModeStrict, FromPolicy, true},
		"the file is that of another identity": {permissivePolicy, func(file string) { replaceIn(file, "example.org/web", "example.org/other") }, time.Minute, ModeStrict, FromPolicy, false},
		"the file is of a CA with other roots": {permissivePolicy, func(file string) { replaceIn(file, `"anchor":"`, `"anchor":"0`) }, time.Minute, ModeStrict, FromPolicy, false},
		"the file says that it was seen later": {emergency, func(file string) { replaceIn(file, `"ovr_1":"2000`, `"ovr_1":"2090`) }, 10 * time.Minute, ModePermissive, FromOverride, false},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				dir := filepath.Join(w.t.TempDir(), "cache")
				w.lifetime = 24 * time.Hour
				w.decree(test.policy)
				first := w.open(func(c *Config) { c.CacheDir = dir })
				pass(time.Minute)
				if v := first.Status().PolicyVersion; v == "" {
					t.Fatal("no policy came")
				}
				first.Close()
				existing := *must(first.Certificate())
				test.spoil(filepath.Join(dir, policyFile))
				w.stop()
				pass(test.away - time.Minute)
				s := w.open(func(c *Config) { c.CacheDir, c.JoinToken, c.Certificate = dir, "", &existing })
				s.Listener(nil, ListenerConfig{Authorize: anyone, Mode: ModePolicy})
				mode, from := modeOf(t, s)
				if mode != test.want || from != test.from || (s.Status().PolicyError != nil) != test.fails {
					t.Errorf("mode %s from %s, %v, want %s from %s", mode, from, s.Status().PolicyError, test.want, test.from)
				}
				w.up()
			})
		})
	}
}

// TestRestartsDoNotProlongAnOverride has the clock set back by years, by which it has yet to begin.
func TestRestartsDoNotProlongAnOverride(t *testing.T) {
	edit, dir := cached(t)
	inWorld(t, func(w *world) {
		w.lifetime = 24 * time.Hour
		w.decree(emergency("b1", "both", time.Now().AddDate(99, 0, 0)))
		s := w.open(edit)
		pass(time.Minute)
		s.Close()
		w.stop()
		replaceIn(filepath.Join(dir, policyFile), `"ovr_1":"2000`, `"ovr_1":"2090`)
		for _, want := range []Mode{ModePermissive, ModePermissive, ModeStrict} {
			s := w.open(edit)
			s.Listener(nil, ListenerConfig{Authorize: anyone, Mode: ModePolicy})
			if mode, from := modeOf(t, s); mode != want {
				t.Errorf("mode %s from %s, want %s", mode, from, want)
			}
			pass(time.Minute)
			s.Close()
			pass(40 * time.Minute)
		}
		w.up()
	})
}

func replaceIn(file, old, new string) {
	text := string(must(os.ReadFile(file)))
	if !strings.Contains(text, old) {
		panic(fmt.Sprintf("no %q in %s", old, text))
	}
	os.WriteFile(file, []byte(strings.ReplaceAll(text, old, new)), 0o600)
}

func FuzzPolicy(f *testing.F) {
	f.Add([]byte(permissivePolicy))
	f.Add([]byte(`{"version":"a","overrides":[{"id":"ovr_1","name":"x","side":"dial","expires_at":"9999-12-31T23:59:59Z","reason":"\u0000"}]}`))
	f.Add([]byte(`{"version":"a","rules":[{"name":"","mode":"disabled"},{"name":"","mode":"strict"}]}`))
	f.Add([]byte(`null`))
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	id := must(spiffeid.Parse("spiffe://example.org/web"))
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := readPolicy(text)
		if err != nil {
			return
		}
		p := newPolicy(a, nil, now)
		for _, name := range []string{"default", "x"} {
			if v := p.listening(name, ModePolicy, [2]*override{}, now); !v.mode.enforced() {
				t.Errorf("mode %q", v.mode)
			}
			if v := p.listening(name, ModePolicy, [2]*override{}, now.Add(maxOverride+overrideSkew)); v.override != nil {
				t.Errorf("%+v lasts for more than an hour", v.override)
			}
			if v := p.listening(name, ModeStrict, [2]*override{}, now); v.mode != ModeStrict {
				t.Errorf("the code is overruled: %+v", v)
			}
		}
		file := must(p.stored(id, "anchor"))
		if len(file) > maxPolicyFile {
			t.Errorf("%d octets to be stored", len(file))
		}
		again, err := restoredPolicy(file, id, "anchor", now)
		if err != nil {
			t.Fatalf("what was stored: %v", err)
		}
		if diff := cmp.Diff(string(must(json.Marshal(p.answer))), string(must(json.Marshal(again.answer)))); diff != "" {
			t.Errorf("what was stored (-want +got):\n%s", diff)
		}
	})
}
