package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/pando-ca/pando/ca/policy"
)

// validYAML is a configuration with nothing wrong, and every section.
const validYAML = `
trust_domain: example.org
data: /var/lib/pando
database: postgres://pando:hidden@db.example.org/pando
refresh_hint: 1m
listen: {rest: ":1", grpc: ":2", public: ":3", metrics: ":4"}
serving: {dns_names: [pando.example.org], duration: 12h}
urls: {issuer: "http://pki.example.org/v1/issuers/{authority}.cer"}
lifetimes: {root: 500d, intermediate: 90d1h}
limits: {identity_rate: 0.5}
timeouts: {startup: 0s}
records: {retention: 1d}
log: {format: text, level: debug}
administrators: [{spiffe_id: spiffe://example.org/pando/admin/ana, role: operator}]
profiles:
  - {name: batch, duration: 10m, max_duration: 20m, key_algorithms: [ed25519], dns_names: false}
  - {name: server, wildcard_dns_names: true}
issuers: [{name: ci, issuer: "https://ci.example.org", audiences: [pando], max_lifetime: 1h}]
`

// parsed is defaults and text, without the environment.
func parsed(t *testing.T, text string) config {
	t.Helper()
	cfg := defaultConfig()
	if err := parseConfig(&cfg, "pando.yaml", []byte(text)); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestConfigReadsEveryKindOfValue(t *testing.T) {
	cfg := parsed(t, validYAML)
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	want := defaultConfig()
	want.TrustDomain, want.Data = "example.org", "/var/lib/pando"
	want.Database = "postgres://pando:hidden@db.example.org/pando"
	want.RefreshHint = duration(time.Minute)
	want.Listen = listenConfig{REST: ":1", GRPC: ":2", Public: ":3", Metrics: ":4"}
	want.Serving = servingConfig{DNSNames: []string{"pando.example.org"}, Profile: "workload", Duration: duration(12 * time.Hour)}
	want.URLs.Issuer = "http://pki.example.org/v1/issuers/{authority}.cer"
	want.Lifetimes = lifetimesConfig{Root: duration(500 * day), Intermediate: duration(90*day + time.Hour)}
	want.Limits.IdentityRate = 0.5
	want.Timeouts.Startup = 0
	want.Records.Retention = duration(day)
	want.Log = logConfig{Format: "text", Level: "debug"}
	want.Administrators = []administratorConfig{{SPIFFEID: "spiffe://example.org/pando/admin/ana", Role: "operator"}}
	want.Profiles = []profileConfig{
		{Name: "batch", Duration: new(duration(10 * time.Minute)), MaxDuration: new(duration(20 * time.Minute)), KeyAlgorithms: []string{"ed25519"}, DNSNames: new(false)},
		{Name: "server", WildcardDNSNames: new(true)},
	}
	want.Issuers = []issuerConfig{{Name: "ci", Issuer: "https://ci.example.org", Audiences: []string{"pando"}, MaxLifetime: duration(time.Hour)}}
	if diff := cmp.Diff(want, cfg); diff != "" {
		t.Error(diff)
	}
}

func TestConfigRefusesWhatItDoesNotUnderstand(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"a misspelt key at the top":            {"trust_domian: x", `pando.yaml: line 1: unknown key "trust_domian" (did you mean "trust_domain"?)`},
		"a misspelt key in a section":          {"listen:\n  rset: x", `pando.yaml: line 2: unknown key "listen.rset" (did you mean "rest"?)`},
		"a misspelt key in a list":             {"issuers:\n- name: a\n  issuers: b", `pando.yaml: line 3: unknown key "issuers.issuers" (did you mean "issuer"?)`},
		"a key that resembles none":            {"colour: green", `pando.yaml: line 1: unknown key "colour"`},
		"a key twice":                          {"data: a\ndata: b", `pando.yaml: line 2: mapping key "data" already defined at line 1`},
		"a merge key":                          {"<<: {data: a}", `pando.yaml: line 1: unknown key "<<"`},
		"an alias":                             {"data: &d a\ndatabase: *d", `pando.yaml: line 2: aliases are not supported`},
		"a second document":                    {"data: a\n---\ndata: b", `pando.yaml: holds more than one YAML document`},
		"a list for a section":                 {"listen: [a]", "pando.yaml: line 1: a list stands where a section with keys is needed"},
		"a section for a text":                 {"data: {a: b}", "pando.yaml: line 1: data does not hold keys"},
		"a number that is none":                {"limits: {identity_burst: many}", "pando.yaml: line 1: `many` stands where a whole number is needed"},
		"a duration without a unit":            {"refresh_hint: 5", `pando.yaml: line 1: "5" is not a duration such as 90m, 24h or 60d`},
		"a list for a duration":                {"refresh_hint: [1h]", "pando.yaml: line 1: a duration such as 90m, 24h or 60d is needed here"},
		"a text for a list":                    {"profiles:\n- name: a\n  organization: ACME", "pando.yaml: line 3: `ACME` stands where a list is needed"},
		"a document that is a list":            {"- a", "pando.yaml: line 1: a list stands where a section with keys is needed"},
		"something that is not YAML":           {"a: b: c", "pando.yaml: yaml: mapping values are not allowed in this context"},
		"a file that is larger than a setting": {strings.Repeat("#", maxConfigSize+1), "pando.yaml: is larger than 1048576 octets"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := defaultConfig()
			err := parseConfig(&cfg, "pando.yaml", []byte(test.text))
			if err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestConfigIsJudged(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"no trust domain":                                {`trust_domain: ""`, "trust_domain: is required, such as example.org"},
		"an upper-case trust domain":                     {"trust_domain: Example.org", "trust_domain: "},
		"a database that is no URL":                      {"database: host=db password=hidden", "database: is not a URL such as postgres://pando@db.example.org/pando"},
		"an address without a port":                      {"listen: {rest: localhost}", `listen.rest: "localhost" is not host:port`},
		"two doors at one address":                       {`listen: {grpc: ":1"}`, "listen.grpc: :1 is the address of listen.rest too"},
		"no door for requests":                           {`listen: {rest: "", grpc: ""}`, "listen: both rest and grpc are closed"},
		"a serving name that is none":                    {"serving: {dns_names: [a b]}", "serving.dns_names: "},
		"a serving profile unknown":                      {"serving: {profile: fast}", `serving.profile: there is no profile "fast"`},
		"a URL that is no HTTP":                          {"urls: {crl: ldap://x}", `urls.crl: "ldap://x" is not an HTTP URL`},
		"a CRL URL for all shards":                       {"urls: {crl: 'http://x/{authority}.crl'}", `urls.crl: "http://x/{authority}.crl" lacks {shard}, and crl.shards is 16`},
		"a CRL URL for all authorities":                  {"urls: {crl: 'http://x/{shard}.crl'}", `urls.crl: "http://x/{shard}.crl" lacks {authority}`},
		"more shards than octets":                        {"crl: {shards: 257}", "crl.shards: must be between 1 and 256"},
		"a backup to nowhere":                            {"backup: {schedule: '@daily', recipients: [age1zzx84jgkjhtyzqgr72tc6qqgs6za34um88ac0t7fk6dw4wvhxv5qj5cu66]}", "backup.directory: is required with backup.schedule"},
		"a backup to nobody":                             {"backup: {schedule: '@daily', directory: b}", "backup.recipients: are required with backup.schedule"},
		"a backup to somebody unknown":                   {"backup: {schedule: '@daily', directory: b, recipients: [bob]}", "backup.recipients: recipients: error at line 1"},
		"a backup never":                                 {"backup: {schedule: sometimes, directory: b, recipients: [age1zzx84jgkjhtyzqgr72tc6qqgs6za34um88ac0t7fk6dw4wvhxv5qj5cu66]}", `backup.schedule: scheduler: job "backup": schedule "sometimes": `},
		"a directory without a schedule":                 {"backup: {directory: b}", "backup.directory: is of no use without backup.schedule"},
		"recipients without a schedule":                  {"backup: {recipients: [age1x]}", "backup.recipients: are of no use without backup.schedule"},
		"records of some certificates":                   {"backup: {records: some}", `backup.records: "some" is none of all, live, none`},
		"fewer backups than none":                        {"backup: {keep: -1}", "backup.keep: -1 is negative"},
		"a CRL all the time":                             {"crl: {period: 0s}", "crl.period: must be between 1s and 7d"},
		"a root that lives shorter":                      {"lifetimes: {root: 1h}", "lifetimes.intermediate: must be between 1s and lifetimes.root"},
		"an intermediate that lives shorter than a leaf": {"lifetimes: {intermediate: 90d}\nprofiles: [{name: administrator, max_duration: 89d}]", `lifetimes.intermediate: 90d does not cover a certificate of profile "server", which may live for 90d`},
		"a rate that is not a number":                    {"limits: {identity_rate: .nan}", "limits.identity_rate: must be 0 or more"},
		"a negative burst":                               {"limits: {identity_burst: -1}", "limits.identity_burst: must be 0 or more"},
		"a schedule that is none":                        {"rotation: {schedule: foo}", `rotation.schedule: scheduler: job "rotate": schedule "foo": `},
		"an empty schedule":                              {`rotation: {schedule: ""}`, `rotation.schedule: `},
		"a lease that ended":                             {"rotation: {lease: -1m}", "rotation.lease: -1m0s is negative"},
		"a profile of two words":                         {"profiles: [{name: a b}]", `profiles: profile "a b": name is not 1 to 63 of `},
		"a log format unknown":                           {"log: {format: xml}", `log.format: "xml" is none of json, text`},
		"a log level unknown":                            {"log: {level: loud}", `log.level: "loud" is none of debug, info, warn, error`},
		"an administrator elsewhere":                     {"administrators: [{spiffe_id: spiffe://example.org/ana, role: admin}]", "administrators: spiffe://example.org/ana is not under spiffe://example.org/pando/"},
		"an administrator's role":                        {"administrators: [{spiffe_id: spiffe://example.org/pando/admin/ana, role: root}]", `administrators: spiffe://example.org/pando/admin/ana: role "root" is none of viewer, operator, admin`},
		"a profile longer than allowed":                  {"profiles: [{name: server, duration: 91d, max_duration: 90d}]", `profiles: "server": duration 91d exceeds max_duration, which is 90d`},
		"a profile longer than its usual maximum":        {"profiles: [{name: batch, duration: 8d}]", `profiles: "batch": duration 8d exceeds max_duration, which is 1d`},
		"a profile's usage":                              {"profiles: [{name: a, ext_key_usage: [any]}]", `profiles: "a": extended key usage "any" is none of serverAuth, clientAuth, codeSigning, emailProtection`},
		"a profile twice":                                {"profiles: [{name: a}, {name: a}]", `profiles: "a" is defined twice`},
		"an issuer without a name":                       {"issuers: [{issuer: a, audiences: [b]}]", "issuers[0]: name is not 1 to 63 of "},
		"an issuer without an audience":                  {"issuers: [{name: a, issuer: a}]", `issuers "a": audiences are missing: `},
		"an issuer with a shared key":                    {"issuers: [{name: a, issuer: 'https://a', audiences: [b], algorithms: [HS256]}]", `issuers "a": algorithm "HS256" is none of `},
		"an issuer over plain HTTP":                      {"issuers: [{name: a, issuer: 'http://127.0.0.1', audiences: [b]}]", `issuers "a": `},
		"an issuer's role claim that leads nowhere":      {"issuers: [{name: a, issuer: 'https://a', audiences: [b], role_claim: '{a}'}]", `issuers "a": role claim: `},
		"a port that does not exist":                     {"listen: {rest: ':99999'}", `listen.rest: "99999" is not a port`},
		"a serving duration that the profile forbids":    {"serving: {duration: 25h}", `serving.duration: 1d1h exceeds max_duration of profile "workload", which is 1d`},
		"serving names that the profile forbids":         {"serving: {profile: administrator}", `serving.dns_names: profile "administrator" allows no DNS names`},
		"no serving name where the profile needs one":    {"serving: {profile: server, dns_names: []}", `serving.dns_names: profile "server" requires a DNS name`},
		"an issuer with two sources":                     {"issuers: [{name: a, issuer: a, audiences: [b], jwks_file: c, jwks_url: d}]", `issuers "a": only one of discovery_url, jwks_url and jwks_file can be given`},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := parsed(t, validYAML)
			if err := parseConfig(&cfg, "pando.yaml", []byte(test.text)); err != nil {
				t.Fatal(err)
			}
			err := cfg.Validate()
			if err == nil || !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestConfigCommandReadsTheFilesOfIssuers(t *testing.T) {
	for key, want := range map[string]string{
		"jwks_file":    `pando: issuers "ci": `,
		"root_ca_file": `pando: issuers "ci": root_ca_file: `,
	} {
		data := t.TempDir()
		writeTestFile(t, filepath.Join(data, configName),
			"trust_domain: example.org\nissuers: [{name: ci, issuer: 'https://ci.example.org', audiences: [pando], "+key+": missing.json}]\n")
		code, _, errs := runPando(t, "config", "--data", data)
		if code != exitFailed || !strings.HasPrefix(errs, want) || !strings.Contains(errs, "missing.json") || strings.Count(errs, `"ci"`) != 1 {
			t.Errorf("%s: exit code %d: %s", key, code, errs)
		}
	}
}

func TestConfigReportsEachProblemOnItsOwnLine(t *testing.T) {
	cfg := parsed(t, "log: {format: xml, level: loud}")
	err := cfg.Validate()
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("got %v, want three lines: trust_domain, log.format, log.level", err)
	}
}

func TestProfilesChangeTheBuiltinOnesAndAddToThem(t *testing.T) {
	cfg := parsed(t, validYAML)
	profiles, err := cfg.profiles()
	if err != nil {
		t.Fatal(err)
	}
	byName := make(map[string]policy.Profile)
	for _, p := range profiles {
		byName[p.Name] = p
	}
	workload, batch := byName["workload"], byName["batch"]
	if workload.Duration != time.Hour || !workload.DNSNames {
		t.Errorf("workload was changed: %+v", workload)
	}
	if batch.Duration != 10*time.Minute || batch.DNSNames || len(batch.KeyAlgorithms) != 1 || len(batch.ExtKeyUsage) != 2 {
		t.Errorf("batch is not workload with changes: %+v", batch)
	}
	if server := byName["server"]; !server.WildcardDNSNames || server.Duration != 60*day {
		t.Errorf("server is not the built-in one with a change: %+v", server)
	}
	if len(profiles) != 4 || byName[profileAdministrator].Duration != 30*day {
		t.Errorf("%d profiles, want workload, server, administrator and batch", len(profiles))
	}
}

// sampleValues are values that differ from the defaults, for each type of key.
func sampleValue(s setting) string {
	switch s.value.Interface().(type) {
	case string:
		return "~ verbatim: text"
	case bool:
		return "true"
	case int:
		return "7"
	case float64:
		return "2.5"
	case duration:
		return "3d"
	case []string:
		return "[a, b]"
	}
	return "[{name: a}]"
}

func TestEveryKeyHasAnEnvironmentVariable(t *testing.T) {
	var cfg config
	names := make(map[string]bool)
	for _, s := range settings(&cfg) {
		if names[s.env] {
			t.Errorf("%s stands for two keys", s.env)
		}
		names[s.env] = true

		value := sampleValue(s)
		if s.key == "administrators" {
			value = "[{role: admin}]"
		}
		got := defaultConfig()
		if err := overrideConfig(&got, []string{"PATH=/bin", s.env + "=" + value, "PANDO_SERVICE_HOST=10.0.0.1"}); err != nil {
			t.Errorf("%s=%s: %v", s.env, value, err)
		}
		want := defaultConfig()
		for _, w := range settings(&want) {
			if w.key == s.key {
				if err := w.set(value); err != nil {
					t.Fatal(err)
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s changed something else: %s", s.env, diff)
		}
		if cmp.Equal(defaultConfig(), got) {
			t.Errorf("%s=%s changed nothing", s.env, value)
		}
	}
}

func TestEnvironmentThatIsWrongIsRefused(t *testing.T) {
	for variable, want := range map[string]string{
		"PANDO_LISTEN_RSET=:1":                   `environment: unknown variable PANDO_LISTEN_RSET (did you mean "PANDO_LISTEN_REST"?)`,
		"PANDO_LIMITS_IDENTITY_RATE=fast":        "environment: PANDO_LIMITS_IDENTITY_RATE: line 1: `fast` stands where a number is needed",
		"PANDO_LIMITS_IDENTITY_RATE=":            "environment: PANDO_LIMITS_IDENTITY_RATE: is empty",
		"PANDO_REFRESH_HINT=1":                   `environment: PANDO_REFRESH_HINT: line 1: "1" is not a duration such as 90m, 24h or 60d`,
		"PANDO_PROFILES=[{nmae: a}]":             `environment: PANDO_PROFILES: line 1: unknown key "profiles.nmae" (did you mean "name"?)`,
		"PANDO_SERVING_DNS_NAMES={a: b}":         "environment: PANDO_SERVING_DNS_NAMES: line 1: serving.dns_names does not hold keys",
		"PANDO_MIGRATE=perhaps":                  "environment: PANDO_MIGRATE: line 1: `perhaps` stands where true or false is needed",
		"PANDO_ADMINISTRATORS=[{spiffe_id: [}]}": "environment: PANDO_ADMINISTRATORS: yaml: did not find expected node content",
	} {
		cfg := defaultConfig()
		err := overrideConfig(&cfg, []string{variable})
		if err == nil || err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", variable, err, want)
		}
	}
}

func TestConfigIsLookedForWhereTheFlagsSay(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a/pando.yaml", "trust_domain: a.example.org\nissuers: [{name: i, jwks_file: keys.json}]")
	write("b.yaml", "trust_domain: b.example.org\ndata: elsewhere\nseal_key_file: /run/seal.key")

	for name, test := range map[string]struct {
		source configSource
		want   config
	}{
		"in a data directory": {
			configSource{data: "a"},
			config{TrustDomain: "a.example.org", Data: dir + "/a", SealKeyFile: dir + "/a/seal.key"},
		},
		"in a file, with paths beside it": {
			configSource{file: "b.yaml"},
			config{TrustDomain: "b.example.org", Data: dir + "/elsewhere", SealKeyFile: "/run/seal.key"},
		},
		"in the environment before the file": {
			configSource{file: "b.yaml", env: []string{"PANDO_TRUST_DOMAIN=c.example.org", "PANDO_DATA=/srv"}},
			config{TrustDomain: "c.example.org", Data: "/srv", SealKeyFile: "/run/seal.key"},
		},
		"in the environment alone": {
			configSource{env: []string{"PANDO_TRUST_DOMAIN=d.example.org"}},
			config{TrustDomain: "d.example.org", Data: dir, SealKeyFile: dir + "/seal.key"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := test.source.load()
			if err != nil {
				t.Fatal(err)
			}
			got := config{TrustDomain: cfg.TrustDomain, Data: cfg.Data, SealKeyFile: cfg.SealKeyFile}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	cfg, err := configSource{data: "a"}.load()
	if err != nil || cfg.Issuers[0].JWKSFile != dir+"/a/keys.json" {
		t.Errorf("jwks_file is %q, %v, want it beside the configuration", cfg.Issuers[0].JWKSFile, err)
	}
	if _, err := (configSource{data: "none"}).load(); err == nil || !strings.Contains(err.Error(), "pando init") {
		t.Errorf("an empty data directory: %v, want a hint at pando init", err)
	}
	if _, err := (configSource{}).load(); err == nil || !strings.Contains(err.Error(), "there is no configuration") {
		t.Errorf("nothing at all: %v", err)
	}
	if _, err := (configSource{file: "none.yaml"}).load(); err == nil {
		t.Error("a file that is not there was accepted")
	}
	if _, err := (configSource{file: "b.yaml", data: "a"}).load(); exitCode(err) != exitUsage {
		t.Errorf("both flags: %v, want a usage error", err)
	}
}

func TestPrintedConfigHidesPasswordsAndReadsBack(t *testing.T) {
	cfg := parsed(t, validYAML)
	cfg.Database = "postgres://pando:hidden@db/pando?password=hidden&sslmode=verify-full&sslpassword=hidden"
	var out bytes.Buffer
	if err := writeConfig(&out, cfg, "yaml"); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "hidden") {
		t.Errorf("a password is printed:\n%s", out.String())
	}
	again := parsed(t, out.String())
	cfg.Database, again.Database = "", ""
	if diff := cmp.Diff(cfg, again); diff != "" {
		t.Error(diff)
	}

	var tree map[string]any
	var asJSON bytes.Buffer
	if err := writeConfig(&asJSON, cfg, "json"); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(asJSON.Bytes(), &tree); err != nil {
		t.Fatal(err)
	}
	if tree["trust_domain"] != "example.org" || tree["refresh_hint"] != "1m" {
		t.Errorf("JSON lacks what the YAML has: %s", asJSON.String())
	}
	if err := writeConfig(&out, cfg, "toml"); exitCode(err) != exitUsage {
		t.Errorf("output toml: %v, want a usage error", err)
	}
	for _, text := range []string{"host=db password=hidden", "postgres://u:hid%zzden@h/d", "mysql://u:hidden@h/d"} {
		if shown := redactDatabase(text); strings.Contains(shown, "hid") {
			t.Errorf("%q is shown as %q", text, shown)
		}
	}
}

// FuzzConfig looks for text that makes the parser panic, or that is accepted and then not
// read back as it was printed.
func FuzzConfig(f *testing.F) {
	f.Add([]byte(validYAML))
	f.Add([]byte("listen: {rest: \":1\"}\nprofiles: [{name: a, renew_at: .5}]"))
	f.Add([]byte("trust_domain: &a [*a]"))
	f.Add([]byte("? {a: b}\n: c"))
	f.Add([]byte("!!binary data: aGk="))
	f.Fuzz(func(t *testing.T, text []byte) {
		cfg := defaultConfig()
		if err := parseConfig(&cfg, "fuzz", text); err != nil {
			return
		}
		if cfg.Validate() != nil {
			return
		}
		printed, err := yaml.Marshal(cfg)
		if err != nil {
			t.Fatal(err)
		}
		again := defaultConfig()
		if err := parseConfig(&again, "again", printed); err != nil {
			t.Fatalf("%v in\n%s", err, printed)
		}
		reprinted, err := yaml.Marshal(again)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(printed, reprinted) {
			t.Errorf("first\n%s\nthen\n%s", printed, reprinted)
		}
	})
}

// rows are the lines of the table in docs/configuration.md: key, default, variable.
func documentedRows(t *testing.T) map[string][2]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[string][2]string)
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) < 5 {
			continue
		}
		clean := func(cell string) string { return strings.Trim(strings.TrimSpace(cell), "`") }
		rows[clean(cells[1])] = [2]string{clean(cells[2]), clean(cells[3])}
	}
	return rows
}

func TestEveryKeyIsDocumented(t *testing.T) {
	rows := documentedRows(t)
	cfg := defaultConfig()
	for _, s := range settings(&cfg) {
		text, err := yaml.Marshal(s.value.Interface())
		if err != nil {
			t.Fatal(err)
		}
		want := strings.TrimSpace(string(text))
		if s.value.Kind() == reflect.Slice {
			want = strings.ReplaceAll(strings.ReplaceAll("["+strings.TrimPrefix(want, "- ")+"]", "\n- ", ", "), "[[]]", "[]")
		}
		row, ok := rows[s.key]
		switch {
		case !ok:
			t.Errorf("%s has no row in docs/configuration.md", s.key)
		case row[0] != want:
			t.Errorf("%s: documented default is %q, want %q", s.key, row[0], want)
		case row[1] != s.env:
			t.Errorf("%s: documented variable is %q, want %q", s.key, row[1], s.env)
		}
		if s.value.Kind() == reflect.Slice && s.value.Type().Elem().Kind() == reflect.Struct {
			for f := range s.value.Type().Elem().Fields() {
				if _, ok := rows[s.key+"[]."+keyOf(f)]; !ok {
					t.Errorf("%s[].%s has no row in docs/configuration.md", s.key, keyOf(f))
				}
			}
		}
	}
}

func TestExamplesOfTheConfigurationAreValid(t *testing.T) {
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```yaml\n")[1:]
	if len(blocks) < 2 {
		t.Fatalf("%d examples are in the page", len(blocks))
	}
	for _, block := range blocks {
		text, _, _ := strings.Cut(block, "```")
		cfg := parsed(t, "trust_domain: example.org")
		if err := parseConfig(&cfg, "configuration.md", []byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := cfg.Validate(); err != nil {
			t.Errorf("%v, in\n%s", err, text)
		}
	}
}
