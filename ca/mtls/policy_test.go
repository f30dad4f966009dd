package mtls

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pando-ca/pando/ca/spiffeid"
)

// now is the time of these tests.
var now = time.Date(2031, time.March, 5, 12, 0, 0, 0, time.UTC)

func TestNarrowestWins(t *testing.T) {
	rule := func(text, name string, mode Mode) Rule {
		return Rule{Pattern: pattern(t, text), Name: name, Mode: mode}
	}
	all := []Rule{
		rule("/**", "", ModePermissive),
		rule("/**", "admin", ModeDisabled),
		rule("/ns/prod/**", "", ModeStrict),
		rule("/ns/prod/**", "metrics", ModePermissive),
		rule("/ns/*/sa/web", "", ModeDisabled),
		rule("/ns/prod/sa/web", "health", ModeDisabled),
		rule("/other", "", ModeDisabled),
	}
	for name, c := range map[string]struct {
		path                string
		rules, overruled    []Rule
		listener, wantOfIts string
	}{
		"only the widest":                      {"/dev/x", []Rule{all[0], all[1]}, nil, "admin", "disabled"},
		"a narrower one without a name":        {"/ns/prod/sa/db", []Rule{all[2], all[3]}, []Rule{all[1], all[0]}, "admin", "strict"},
		"a literal beats a wildcard":           {"/ns/prod/sa/web", []Rule{all[2], all[5], all[3]}, []Rule{all[4], all[1], all[0]}, "health", "disabled"},
		"a wildcard beats any rest":            {"/ns/dev/sa/web", []Rule{all[4]}, []Rule{all[1], all[0]}, "", "disabled"},
		"a name that no rule has":              {"/ns/prod/sa/db", []Rule{all[2], all[3]}, []Rule{all[1], all[0]}, "grpc", "strict"},
		"the trust domain itself has no rules": {"", nil, nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := NewPolicy(all).Effective(id(t, c.path), nil, now)
			compare := cmp.AllowUnexported(Pattern{})
			if diff := cmp.Diff(c.rules, e.Rules, compare); diff != "" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.overruled, e.Overruled, compare); diff != "" {
				t.Errorf("overruled (-want +got):\n%s", diff)
			}
			got := ""
			if r := decided(e, c.listener); r != nil {
				got = string(r.Mode)
			}
			if got != c.wantOfIts {
				t.Errorf("listener %q is %q, want %q", c.listener, got, c.wantOfIts)
			}
		})
	}
	if e := NewPolicy(nil).Effective(spiffeid.ID{}, nil, now); len(e.Rules) != 0 || e.Version == "" {
		t.Errorf("nobody gets %+v", e)
	}
}

func TestOverridesInForce(t *testing.T) {
	override := func(id, text string, expires, ended time.Time) Override {
		return Override{ID: id, Pattern: pattern(t, text), Side: SideBoth, Expires: expires, Ended: ended}
	}
	overrides := []Override{
		override("c", "/ns/**", now.Add(time.Minute), time.Time{}),
		override("a", "/ns/prod", now.Add(time.Second), time.Time{}),
		override("b", "/ns/prod", now.Add(time.Hour), now.Add(-time.Second)), // ended
		override("d", "/ns/dev", now.Add(time.Hour), time.Time{}),            // of others
	}
	for name, c := range map[string]struct {
		at   time.Duration
		want string
	}{
		"those that match":              {0, "a c"},
		"one that expires in this time": {time.Second, "c"},
		"before that":                   {time.Second - 1, "a c"},
		"the last has expired":          {time.Minute, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, o := range NewPolicy(nil).Effective(id(t, "/ns/prod"), overrides, now.Add(c.at)).Overrides {
				got = append(got, o.ID)
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("%v, want %s", got, c.want)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	base := []Rule{{Pattern: pattern(t, "/ns/**"), Mode: ModeStrict}}
	emergency := []Override{{ID: "o", Pattern: pattern(t, "/ns/**"), Side: SideBoth, Reason: "r", Expires: now.Add(time.Hour)}}
	version := func(rules []Rule, overrides []Override, at time.Time) string {
		return NewPolicy(rules).Effective(id(t, "/ns/a"), overrides, at).Version
	}
	before := version(base, nil, now)
	same := map[string]string{
		"the same rule by another pattern": version([]Rule{{Pattern: pattern(t, "/ns/a"), Mode: ModeStrict}}, nil, now),
		"a rule of others":                 version(append(base, Rule{Pattern: pattern(t, "/b"), Mode: ModeDisabled}), nil, now),
		"a rule that decides nothing":      version(append(base, Rule{Pattern: pattern(t, "/**"), Mode: ModeDisabled}), nil, now),
		"an override that has expired":     version(base, emergency, now.Add(time.Hour)),
	}
	for name, got := range same {
		if got != before {
			t.Errorf("%s changes the version", name)
		}
	}
	other := emergency[0]
	other.Reason = "another"
	seen := map[string]string{before: "the rule"}
	for name, got := range map[string]string{
		"no rule":         version(nil, nil, now),
		"another mode":    version([]Rule{{Pattern: pattern(t, "/ns/**"), Mode: ModePermissive}}, nil, now),
		"plaintext":       version([]Rule{{Pattern: pattern(t, "/ns/**"), Mode: ModeStrict, PlaintextDial: true}}, nil, now),
		"a name":          version([]Rule{{Pattern: pattern(t, "/ns/**"), Mode: ModeStrict, Name: "a"}}, nil, now),
		"an override":     version(base, emergency, now),
		"another reason":  version(base, []Override{other}, now),
		"two of the rule": version(append(base, Rule{Pattern: pattern(t, "/ns/**"), Name: "a", Mode: ModeStrict}), nil, now),
	} {
		if seen[got] != "" || len(got) != 32 || strings.Trim(got, "0123456789abcdef") != "" {
			t.Errorf("%s has the version %q, as %q", name, got, seen[got])
		}
		seen[got] = name
	}
}

func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{
		"default": true, "a": true, "9": true, "a.b_c-d": true, strings.Repeat("a", 63): true,
		"": false, strings.Repeat("a", 64): false, ".a": false, "-a": false, "_a": false, "A": false, "a b": false, "é": false, "a\n": false, "a/b": false,
	} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("CheckName(%q): %v", name, err)
		}
	}
}

func TestCheckOverride(t *testing.T) {
	for d, ok := range map[time.Duration]bool{
		time.Nanosecond: true, time.Hour: true, time.Hour + 1: false, 0: false, -time.Minute: false,
	} {
		if err := CheckOverride(d); (err == nil) != ok {
			t.Errorf("CheckOverride(%s): %v", d, err)
		}
	}
}

func TestListens(t *testing.T) {
	for name, c := range map[string]struct {
		o    Override
		want bool
	}{
		"all listeners":   {Override{Side: SideListen}, true},
		"both sides":      {Override{Side: SideBoth}, true},
		"dialers":         {Override{Side: SideDial}, false},
		"by its name":     {Override{Side: SideBoth, Name: "web"}, true},
		"by another name": {Override{Side: SideBoth, Name: "db"}, false},
	} {
		if got := c.o.Listens("web"); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestClamp(t *testing.T) {
	for name, c := range map[string]struct{ at, want time.Time }{
		"none":          {time.Time{}, time.Time{}},
		"the future":    {now.Add(time.Hour), now},
		"the far past":  {now.Add(-Memory - 1), now.Add(-Memory)},
		"in between":    {now.Add(-time.Hour), now.Add(-time.Hour)},
		"the year 9999": {time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), now},
	} {
		if got := Clamp(c.at, now); !got.Equal(c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestJudge(t *testing.T) {
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	const h = time.Hour
	good := Observation{Mode: ModePermissive, Since: ago(48 * h), Until: now.Add(h), LastMTLS: ago(h)}
	with := func(change func(*Observation)) Observation { o := good; change(&o); return o }
	for name, c := range map[string]struct {
		seen       []Observation
		overridden bool
		want       []Obstacle
		instances  int
	}{
		"one instance that sees mutual TLS only":      {[]Observation{good}, false, nil, 1},
		"nobody":                                      {nil, false, []Obstacle{ObstacleNotObserved, ObstacleNoMTLS}, 0},
		"plaintext just now":                          {[]Observation{with(func(o *Observation) { o.LastPlaintext = now })}, false, []Obstacle{ObstaclePlaintext}, 1},
		"plaintext as the time began":                 {[]Observation{with(func(o *Observation) { o.LastPlaintext = ago(24 * h) })}, false, []Obstacle{ObstaclePlaintext}, 1},
		"plaintext before that":                       {[]Observation{with(func(o *Observation) { o.LastPlaintext = ago(24*h + 1) })}, false, nil, 1},
		"plaintext at another instance":               {[]Observation{good, with(func(o *Observation) { o.LastPlaintext = ago(h) })}, false, []Obstacle{ObstaclePlaintext}, 2},
		"plaintext at an instance that is gone":       {[]Observation{good, {Since: ago(20 * h), Until: ago(10 * h), LastPlaintext: ago(12 * h)}}, false, []Obstacle{ObstaclePlaintext}, 1},
		"no mutual TLS in that time":                  {[]Observation{with(func(o *Observation) { o.LastMTLS = ago(24*h + 1) })}, false, []Obstacle{ObstacleNoMTLS}, 1},
		"no mutual TLS at all":                        {[]Observation{with(func(o *Observation) { o.LastMTLS = time.Time{} })}, false, []Obstacle{ObstacleNoMTLS}, 1},
		"mutual TLS at one of two":                    {[]Observation{good, with(func(o *Observation) { o.LastMTLS = time.Time{} })}, false, nil, 2},
		"a start in that time":                        {[]Observation{with(func(o *Observation) { o.Since = ago(23 * h) })}, false, []Obstacle{ObstacleNotObserved}, 1},
		"a start as the time began":                   {[]Observation{with(func(o *Observation) { o.Since = ago(24 * h) })}, false, nil, 1},
		"another took over":                           {[]Observation{with(func(o *Observation) { o.Since = ago(5 * h) }), {Since: ago(30 * h), Until: ago(4 * h)}}, false, nil, 1},
		"another took over to the moment":             {[]Observation{with(func(o *Observation) { o.Since = ago(5 * h) }), {Since: ago(30 * h), Until: ago(5 * h)}}, false, nil, 1},
		"another took over too late":                  {[]Observation{with(func(o *Observation) { o.Since = ago(5 * h) }), {Since: ago(30 * h), Until: ago(5*h + 1)}}, false, []Obstacle{ObstacleNotObserved}, 1},
		"a chain of three, in no order":               {[]Observation{{Since: ago(30 * h), Until: ago(9 * h)}, with(func(o *Observation) { o.Since = ago(5 * h) }), {Since: ago(10 * h), Until: ago(4 * h)}}, false, nil, 1},
		"all are gone":                                {[]Observation{{Since: ago(48 * h), Until: ago(h), LastMTLS: ago(2 * h)}}, false, []Obstacle{ObstacleNotObserved}, 0},
		"an override":                                 {[]Observation{good}, true, []Obstacle{ObstacleOverride}, 1},
		"everything at once, in the order of reasons": {[]Observation{{Since: now, Until: now.Add(h), LastPlaintext: now}}, true, []Obstacle{ObstaclePlaintext, ObstacleNotObserved, ObstacleNoMTLS, ObstacleOverride}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			v := Judge(c.seen, c.overridden, ago(24*h), now)
			if diff := cmp.Diff(c.want, v.Obstacles, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("obstacles (-want +got):\n%s", diff)
			}
			if v.Instances != c.instances || v.Ready() != (len(c.want) == 0) {
				t.Errorf("%d instances, want %d; ready %t", v.Instances, c.instances, v.Ready())
			}
		})
	}
	v := Judge([]Observation{good, with(func(o *Observation) { o.Mode = ModeStrict }), {Mode: ModeDisabled, Until: now}}, false, now, now)
	if diff := cmp.Diff([]Mode{ModeStrict, ModePermissive}, v.Modes); diff != "" {
		t.Errorf("modes (-want +got):\n%s", diff)
	}
}
