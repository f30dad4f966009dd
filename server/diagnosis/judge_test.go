package diagnosis

import (
	"crypto"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/rotation"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
)

var noon = time.Date(2026, time.November, 22, 12, 0, 0, 0, time.UTC)

// judged is a verdict and what it is to be.
type judged struct {
	verdict verdict
	level   server.Level
	finding string // a part of it
}

const (
	good     = server.LevelOK
	warning  = server.LevelWarning
	critical = server.LevelCritical
)

func compareVerdicts(t *testing.T, tests map[string]judged) {
	t.Helper()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := test.verdict.check("c")
			if c.Level != test.level || !strings.Contains(c.Finding, test.finding) {
				t.Errorf("%s: %q, want %s: %q", c.Level, c.Finding, test.level, test.finding)
			}
			if (c.Advice == "") != (c.Level == good) || c.Finding == "" || strings.Contains(c.Finding, "\n") {
				t.Errorf("%s: %q with the advice %q", c.Level, c.Finding, c.Advice)
			}
		})
	}
}

// pair is a root of 1000 days and its intermediate of 100 days, both made at noon.
func pair(t *testing.T, change ...func(root, intermediate *authority)) []authority {
	t.Helper()
	pki := catest.New(t, catest.Options{Now: noon, IntermediateKey: ca.ECDSAP256})
	var all []authority
	for _, a := range pki.Set().Authorities() {
		cert := *a.Certificate()
		cert.NotBefore, cert.NotAfter = noon, noon.Add(1000*day)
		if a.Role() == ca.RoleIntermediate {
			cert.NotAfter = noon.Add(100 * day)
		}
		all = append(all, authority{store.Authority{
			ID: string(a.Role()), Role: string(a.Role()), State: string(ca.StateActive), Key: []byte("k"), StateSince: noon,
		}, &cert})
	}
	if all[0].Role != string(ca.RoleRoot) {
		all[0], all[1] = all[1], all[0]
	}
	for _, f := range change {
		f(&all[0], &all[1])
	}
	return all
}

func TestExpiry(t *testing.T) {
	state := func(s ca.State) func(root, intermediate *authority) {
		return func(_, intermediate *authority) { intermediate.State = string(s) }
	}
	short := func(root, _ *authority) { root.cert.NotAfter = noon.Add(100 * day) }
	compareVerdicts(t, map[string]judged{
		"both are young":                             {judgeExpiry(pair(t), noon), good, ""},
		"a fifth of the intermediate is left":        {judgeExpiry(pair(t), noon.Add(80*day)), good, ""},
		"less than a fifth is":                       {judgeExpiry(pair(t), noon.Add(80*day+time.Second)), warning, "intermediate intermediate ends at"},
		"a tenth of it is":                           {judgeExpiry(pair(t), noon.Add(90*day)), warning, "which is in 10d"},
		"less than a tenth is":                       {judgeExpiry(pair(t), noon.Add(90*day+time.Second)), critical, "intermediate"},
		"it has ended":                               {judgeExpiry(pair(t), noon.Add(101*day)), critical, "which is in -24h0m"},
		"it retires":                                 {judgeExpiry(pair(t, state(ca.StateRetiring)), noon.Add(99*day)), good, ""},
		"it is prepared":                             {judgeExpiry(pair(t, state(ca.StatePrepared)), noon.Add(95*day)), critical, ""},
		"the root has ninety days":                   {judgeExpiry(pair(t, short, state(ca.StateRetired)), noon.Add(10*day)), good, ""},
		"the root has less, and most of its life":    {judgeExpiry(pair(t, short, state(ca.StateRetired)), noon.Add(10*day+time.Second)), warning, "root root"},
		"the root has thirty days":                   {judgeExpiry(pair(t, short, state(ca.StateRetired)), noon.Add(70*day)), warning, ""},
		"the root has less, and a third of its life": {judgeExpiry(pair(t, short, state(ca.StateRetired)), noon.Add(70*day+time.Second)), critical, ""},
	})
}

func TestIssuer(t *testing.T) {
	none := func(_, intermediate *authority) { intermediate.State = string(ca.StateRetiring) }
	compareVerdicts(t, map[string]judged{
		"it covers the longest certificate to the second": {judgeIssuer(pair(t), 90*day, noon.Add(10*day)), good, ""},
		"it lacks a second": {judgeIssuer(pair(t), 90*day, noon.Add(10*day+time.Second)), critical, "has 89d left"},
		"there is none":     {judgeIssuer(pair(t, none), day, noon), critical, "nothing is issued"},
	})
}

func TestRotation(t *testing.T) {
	role := func(due, entered time.Time, deadline time.Duration) []rotation.RoleStatus {
		return []rotation.RoleStatus{{Role: ca.RoleRoot, Phase: rotation.PhaseDraining, Due: due, Entered: entered, Deadline: deadline}}
	}
	later := noon.Add(day)
	compareVerdicts(t, map[string]judged{
		"nothing is due":                        {judgeRotation(role(later, noon, 0), noon), good, ""},
		"a step was due an hour ago":            {judgeRotation(role(noon, noon, 0), noon.Add(time.Hour)), good, ""},
		"a step was due earlier":                {judgeRotation(role(noon, noon, 0), noon.Add(time.Hour+time.Second)), warning, "has been due for 1h0m"},
		"a phase is over its deadline, lately":  {judgeRotation(role(later, noon, time.Minute), noon.Add(16*time.Minute)), good, ""},
		"a phase is over its deadline for long": {judgeRotation(role(later, noon, time.Minute), noon.Add(16*time.Minute+time.Second)), critical, "is draining"},
	})
}

func TestTainted(t *testing.T) {
	tainted := func(_, intermediate *authority) { intermediate.State = string(ca.StateTainted) }
	compareVerdicts(t, map[string]judged{
		"none is": {judgeTainted(pair(t), noon), good, ""},
		"one is":  {judgeTainted(pair(t, tainted), noon.Add(5*time.Minute)), warning, "tainted for 5m"},
	})
}

func TestKeys(t *testing.T) {
	own := catest.Key(t, ca.ECDSAP256)
	with := func(state ca.State, role ca.Role, signer crypto.Signer, err error) []keyFact {
		all := pair(t)
		at := 0
		if role == ca.RoleIntermediate {
			at = 1
		}
		all[at].State, all[at].cert.PublicKey = string(state), own.Public()
		return []keyFact{{&all[at], signer, err}}
	}
	lost := errors.New("SECRET of the driver")
	compareVerdicts(t, map[string]judged{
		"it is that of the certificate":        {judgeKeys(with(ca.StateActive, ca.RoleIntermediate, own, nil)), good, ""},
		"it is another one":                    {judgeKeys(with(ca.StateActive, ca.RoleIntermediate, catest.Key(t, ca.ECDSAP384), nil)), critical, "is not that of its certificate"},
		"it cannot be opened":                  {judgeKeys(with(ca.StatePrepared, ca.RoleRoot, nil, lost)), critical, "cannot be opened"},
		"that of a retiring one cannot be":     {judgeKeys(with(ca.StateRetiring, ca.RoleIntermediate, nil, lost)), warning, "cannot be opened"},
		"a root is kept elsewhere":             {judgeKeys(with(ca.StateActive, ca.RoleRoot, nil, nil)), good, ""},
		"an intermediate has none":             {judgeKeys(with(ca.StateActive, ca.RoleIntermediate, nil, nil)), critical, "has no key"},
		"that of a tainted one is another one": {judgeKeys(with(ca.StateTainted, ca.RoleIntermediate, catest.Key(t, ca.ECDSAP384), nil)), warning, "is not"},
	})
	if c := judgeKeys(with(ca.StateActive, ca.RoleRoot, nil, lost)); strings.Contains(c.check("c").Finding, "SECRET") {
		t.Error("the error of a driver is told")
	}
}

func TestCRLs(t *testing.T) {
	list := func(authority string, shard, shards int, next time.Time) store.CRL {
		return store.CRL{Authority: authority, Shard: shard, Shards: shards, Number: 1, ThisUpdate: next.Add(-4*time.Hour - ca.MaxSkew), NextUpdate: next}
	}
	end := noon.Add(4 * time.Hour)
	all := []store.CRL{list("root", 0, 1, end.Add(time.Hour)), list("intermediate", 0, 2, end), list("intermediate", 1, 2, end.Add(time.Hour))}
	gone := func(_, intermediate *authority) { intermediate.State = string(ca.StateRetired) }
	offline := func(root, _ *authority) { root.Key = nil }
	compareVerdicts(t, map[string]judged{
		"all are fresh":                      {judgeCRLs(pair(t), all, noon), good, ""},
		"half of one is left":                {judgeCRLs(pair(t), all, noon.Add(2*time.Hour)), good, ""},
		"less than half is":                  {judgeCRLs(pair(t), all, noon.Add(2*time.Hour+time.Second)), critical, "the CRL of intermediate"},
		"one ends now":                       {judgeCRLs(pair(t), all, end), critical, "has 0s left"},
		"one has ended":                      {judgeCRLs(pair(t), all, end.Add(time.Second)), critical, "refuses what it has signed"},
		"one shard lacks, lately":            {judgeCRLs(pair(t), all[:2], noon.Add(crlGrace)), good, ""},
		"one shard lacks":                    {judgeCRLs(pair(t), all[:2], noon.Add(crlGrace+time.Second)), critical, "1 CRLs of 2"},
		"there is none":                      {judgeCRLs(pair(t), nil, noon.Add(time.Hour)), critical, "0 CRLs of 1"},
		"that of a retired authority":        {judgeCRLs(pair(t, gone), all[:1], noon.Add(time.Hour)), good, ""},
		"a root that is offline has no list": {judgeCRLs(pair(t, offline), all[1:], noon.Add(time.Hour)), good, ""},
	})
}

func TestAlgorithms(t *testing.T) {
	weak := catest.Key(t, ca.RSA2048).Public()
	until := func(end time.Time) []authority {
		return pair(t, func(root, _ *authority) { root.cert.PublicKey, root.cert.NotAfter = weak, end })
	}
	profile := []policy.Profile{{Name: "p", MaxDuration: 90 * day, KeyAlgorithms: ca.KeyAlgorithms()}}
	strong := []policy.Profile{{Name: "p", MaxDuration: 90 * day, KeyAlgorithms: []ca.KeyAlgorithm{ca.RSA3072}}}
	limit := rsa2048Until()
	compareVerdicts(t, map[string]judged{
		"no key is weak":                           {judgeAlgorithms(pair(t), profile, noon), good, ""},
		"a root of RSA 2048 ends in time":          {judgeAlgorithms(until(limit), nil, noon), good, ""},
		"a root of RSA 2048 ends later":            {judgeAlgorithms(until(limit.Add(time.Second)), nil, noon), warning, "root root has a key of RSA 2048"},
		"certificates for RSA 2048 end in time":    {judgeAlgorithms(nil, profile, limit.Add(-90*day)), good, ""},
		"certificates for RSA 2048 end later":      {judgeAlgorithms(nil, profile, limit.Add(-90*day+time.Second)), warning, "profile p"},
		"certificates for stronger keys end later": {judgeAlgorithms(nil, strong, limit), good, ""},
	})
}

func TestIdentities(t *testing.T) {
	figures := func(live, overdue, expired int) *server.Figures {
		return &server.Figures{Identities: []server.IdentityCount{
			{Profile: "a", State: server.IdentityLive, Count: live}, {Profile: "b", State: server.IdentityOverdue, Count: overdue},
			{Profile: "a", State: server.IdentityExpired, Count: expired},
		}}
	}
	open := func(left int) *server.Figures {
		return &server.Figures{Incidents: []server.IncidentCount{{ID: "inc_1", Left: left, Deadline: noon}}}
	}
	compareVerdicts(t, map[string]judged{
		"none are overdue":                    {judgeIdentities(figures(100, 0, 0), noon), good, "100 identities are live"},
		"one of a hundred is":                 {judgeIdentities(figures(100, 1, 0), noon), good, ""},
		"more are":                            {judgeIdentities(figures(100, 2, 0), noon), warning, "2 identities are overdue"},
		"the only one is":                     {judgeIdentities(figures(0, 1, 0), noon), warning, ""},
		"one has expired":                     {judgeIdentities(figures(100, 5, 1), noon), critical, "1 identities have expired"},
		"no incident is open":                 {judgeIncidents(&server.Figures{}, noon), good, "no incident"},
		"one is open up to its deadline":      {judgeIncidents(open(3), noon), good, "1 incidents are open"},
		"one is open later":                   {judgeIncidents(open(3), noon.Add(time.Second)), critical, "3 certificates are left"},
		"one is open later, with nobody left": {judgeIncidents(open(0), noon.Add(time.Second)), good, ""},
	})
}

func TestJobs(t *testing.T) {
	job := func(ago, period time.Duration, err error) []rotation.Status {
		return []rotation.Status{{Name: "j", Period: period, LastSuccess: noon.Add(-ago), LastError: err}}
	}
	failed := errors.New("SECRET")
	compareVerdicts(t, map[string]judged{
		"it ran three periods ago":             {judgeJobs(job(3*time.Hour, time.Hour, nil), noon), good, ""},
		"it ran longer ago":                    {judgeJobs(job(3*time.Hour+time.Second, time.Hour, nil), noon), critical, "job j has not succeeded for 3h0m"},
		"one of short period is late":          {judgeJobs(job(5*time.Minute, time.Second, nil), noon), good, ""},
		"one of short period is later":         {judgeJobs(job(5*time.Minute+time.Second, time.Second, nil), noon), critical, ""},
		"its last run has failed":              {judgeJobs(job(time.Minute, time.Hour, failed), noon), warning, "the last run of job j has failed"},
		"it fails for long":                    {judgeJobs(job(4*time.Hour, time.Hour, failed), noon), critical, ""},
		"it has not run since the start":       {judgeJobs([]rotation.Status{{Name: "j", Period: time.Hour}}, noon), good, ""},
		"the first run since the start failed": {judgeJobs([]rotation.Status{{Name: "j", LastError: failed}}, noon), warning, ""},
	})
}

func TestStore(t *testing.T) {
	lease := func(name string, left time.Duration) []store.LeaseState {
		return []store.LeaseState{{Lease: store.Lease{Name: name, Holder: "h", ExpiresAt: noon.Add(left)}, Left: left}}
	}
	released := []store.LeaseState{{Lease: store.Lease{Name: rotation.LeaseName, ExpiresAt: time.Unix(0, 0)}, Left: -time.Hour}}
	skewed := func(ahead, took time.Duration) time.Duration {
		return clockFact{before: noon, at: noon.Add(ahead), after: noon.Add(took)}.skew()
	}
	replica := func(age, skew time.Duration, version string) store.Replica {
		return store.Replica{Name: "host/" + version, Version: version, Age: age, Skew: skew}
	}
	replicas := func(all ...store.Replica) verdict { return judgeReplicas(all, 5*time.Minute) }
	most := 5 * time.Minute
	compareVerdicts(t, map[string]judged{
		"the lease is held":                     {judgeLeases(lease(rotation.LeaseName, time.Second)), good, ""},
		"it runs out":                           {judgeLeases(lease(rotation.LeaseName, 0)), warning, "ran out"},
		"it ran out five minutes ago":           {judgeLeases(lease(rotation.LeaseName, -5*time.Minute)), warning, ""},
		"it ran out earlier":                    {judgeLeases(lease(rotation.LeaseName, -5*time.Minute-time.Second)), critical, "ran out 5m ago"},
		"it was given up":                       {judgeLeases(released), warning, "given it up"},
		"there is none":                         {judgeLeases(nil), critical, "ever"},
		"another one ran out":                   {judgeLeases(append(lease("crls", -time.Hour), lease(rotation.LeaseName, time.Second)...)), good, ""},
		"the clocks agree":                      {judgeClock(skewed(0, 0), most), good, ""},
		"the answer took long":                  {judgeClock(skewed(3*time.Second, 4*time.Second), most), good, ""},
		"the database is ahead by a second":     {judgeClock(skewed(2*time.Second, time.Second), most), good, ""},
		"the database is ahead by more":         {judgeClock(skewed(2*time.Second+time.Millisecond, time.Second), most), warning, "this replica is 1.001s behind"},
		"this replica is ahead":                 {judgeClock(skewed(-2*time.Second, time.Second), most), warning, "this replica is 2s ahead of"},
		"the clocks differ by nearly the most":  {judgeClock(skewed(most-time.Second, 0), most), warning, ""},
		"the clocks differ by the most":         {judgeClock(skewed(-most, 0), most), critical, "rotation.skew is 5m"},
		"the schema is that of the binary":      {judgeSchema(11, 11), good, ""},
		"the schema is newer":                   {judgeSchema(12, 11), warning, "version 12"},
		"the schema is older":                   {judgeSchema(10, 11), critical, "version 10"},
		"no replica runs":                       {replicas(), good, "0 replicas run"},
		"one was seen lately":                   {replicas(replica(90*time.Second, time.Second, "v1")), good, "1 replicas run"},
		"one is silent":                         {replicas(replica(90*time.Second+1, time.Hour, "v1"), replica(0, 0, "v2")), warning, "host/v1 was not stopped"},
		"the clock of one is off":               {replicas(replica(0, -time.Second-1, "v1")), warning, "the clock of replica host/v1"},
		"the clock of one is off by far":        {replicas(replica(0, 5*time.Minute, "v1")), critical, "by 5m"},
		"two are of different versions":         {replicas(replica(0, 0, "v2"), replica(0, 0, "v1")), warning, "different versions: v1, v2"},
		"there are no partitions":               {judgePartitions(time.Time{}, day, noon), good, "has no"},
		"partitions reach far":                  {judgePartitions(noon.Add(95*day), 90*day, noon), good, ""},
		"partitions reach less far":             {judgePartitions(noon.Add(95*day-time.Second), 90*day, noon), warning, ""},
		"partitions reach as far as they must":  {judgePartitions(noon.Add(90*day), 90*day, noon), warning, ""},
		"partitions reach less far than needed": {judgePartitions(noon.Add(90*day-time.Second), 90*day, noon), critical, ""},
		"there is a backup of today":            {judgeBackup(0), good, ""},
		"there is a backup of two days ago":     {judgeBackup(2 * day), good, ""},
		"there is an older backup":              {judgeBackup(2*day + time.Second), warning, "2d ago"},
		"there is a backup of two weeks ago":    {judgeBackup(14 * day), warning, ""},
		"there is a much older backup":          {judgeBackup(14*day + time.Second), critical, ""},
		"there is no backup":                    {judgeBackup(-1), warning, "no backup was ever made"},
	})
}

func TestEntries(t *testing.T) {
	entry := func(spiffeID string, claims ...string) []store.Entry {
		e := store.Entry{ID: "e", SPIFFEID: spiffeID, Method: "jwt", Issuer: "i", Claims: make(map[string]string)}
		for _, name := range claims {
			e.Claims[name] = "v"
		}
		return []store.Entry{e}
	}
	const web, each = "spiffe://example.org/web", "spiffe://example.org/{sub}"
	once, again := []Issuer{{Name: "i"}}, []Issuer{{Name: "other"}, {Name: "i", Reusable: true}}
	wild := []store.Entry{{ID: "e", Method: "join_token", DNSNames: []string{"a.example.org", "*.example.org"}}}
	uses := func(n, unused int) []store.EntryUse {
		all := make([]store.EntryUse, n)
		for i := range all {
			all[i] = store.EntryUse{ID: "e" + string(rune('a'+i%26)), Used: i >= unused}
		}
		return all
	}
	compareVerdicts(t, map[string]judged{
		"there are none":                              {judgeEntries(nil, nil), good, ""},
		"one names a subject":                         {judgeEntries(entry(web, "sub"), once), good, ""},
		"one names an audience only":                  {judgeEntries(entry(web, "aud", "/iss"), once), warning, "entry e takes every token of issuer i"},
		"one names a part of an audience only":        {judgeEntries(entry(web, "/aud/0"), once), warning, "every token"},
		"one names a repository":                      {judgeEntries(entry(web, "repository", "aud"), once), good, ""},
		"one names no subject of reusable tokens":     {judgeEntries(entry(web, "repository"), again), warning, "may be shown again"},
		"one names the subject of reusable tokens":    {judgeEntries(entry(web, "sub"), again), good, ""},
		"one names an account of Kubernetes":          {judgeEntries(entry(web, "/kubernetes.io/namespace"), again), good, ""},
		"one takes its identity from reusable tokens": {judgeEntries(entry(each, "repository"), again), good, ""},
		"one is for join tokens":                      {judgeEntries([]store.Entry{{ID: "e", Method: "join_token"}}, again), good, ""},
		"one has a wildcard":                          {judgeEntries(wild, nil), warning, "wildcard DNS name"},
		"all are in use":                              {judgeUses(uses(3, 0), 30*day), good, ""},
		"one is not":                                  {judgeUses(uses(3, 1), 7*day), warning, "1 entries are older than 30d, and their SPIFFE IDs have no certificate that ended less than 7d ago: ea"},
		"many are not":                                {judgeUses(uses(30, 20), 7*day), warning, "and 15 more"},
	})
	if got := judgeUses(uses(mostUses, 0), day).evidence["not_looked_at"]; got == "" {
		t.Error("it is not told that there are more entries than are looked at")
	}
	if got := judgeEntries(make([]store.Entry, mostEntries), nil).evidence["not_looked_at"]; got == "" {
		t.Error("it is not told that there are more entries than are read")
	}
}

func TestSettings(t *testing.T) {
	door := func(l Listener) *Settings { return &Settings{Listeners: []Listener{l}} }
	profile := func(p policy.Profile) *Settings { return &Settings{Profiles: []policy.Profile{p}} }
	issuer := func(i Issuer) *Settings { return &Settings{Issuers: []Issuer{i}} }
	compareVerdicts(t, map[string]judged{
		"a door with TLS is open":                  {judgeListeners(door(Listener{Name: "rest", TLS: true, Public: true})), good, ""},
		"a plain door is not":                      {judgeListeners(door(Listener{Name: "metrics"})), good, ""},
		"a plain door is":                          {judgeListeners(door(Listener{Name: "metrics", Public: true})), warning, "the door metrics"},
		"the door for what is signed is":           {judgeListeners(door(Listener{Name: "public", Public: true, Plain: true})), good, ""},
		"certificates live for a day":              {judgeLifetimes(profile(policy.Profile{Name: "p", MaxDuration: day})), good, ""},
		"certificates live for longer":             {judgeLifetimes(profile(policy.Profile{Name: "p", MaxDuration: day + time.Second})), warning, "profile p"},
		"those with DNS names live for 90 days":    {judgeLifetimes(profile(policy.Profile{Name: "p", MaxDuration: 90 * day, RequireDNSNames: true})), good, ""},
		"those with DNS names live for longer":     {judgeLifetimes(profile(policy.Profile{Name: "p", MaxDuration: 91 * day, RequireDNSNames: true})), warning, ""},
		"those of people live for 90 days":         {judgeLifetimes(profile(policy.Profile{Name: "administrator", MaxDuration: 90 * day})), good, ""},
		"an issuer makes no administrators":        {judgeAdministrators(issuer(Issuer{Name: "i", Reusable: true, MaxLifetime: day})), good, ""},
		"it makes some, for an hour":               {judgeAdministrators(issuer(Issuer{Name: "i", Roles: true, MaxLifetime: time.Hour})), good, ""},
		"it makes some for longer":                 {judgeAdministrators(issuer(Issuer{Name: "i", Roles: true, MaxLifetime: time.Hour + time.Second})), warning, "may live for"},
		"it makes some, any number of times":       {judgeAdministrators(issuer(Issuer{Name: "i", Roles: true, Reusable: true})), warning, "any number of times"},
		"the database is on this machine":          {judgeDatabase(&Settings{DatabaseAt: DatabaseLocal}), good, ""},
		"the database is verified":                 {judgeDatabase(&Settings{DatabaseAt: DatabaseVerified}), good, ""},
		"the database is not verified":             {judgeDatabase(&Settings{DatabaseAt: DatabaseTLS}), warning, "not verified"},
		"the database may be reached in the clear": {judgeDatabase(&Settings{DatabaseAt: DatabasePlain}), warning, "without TLS"},
		"the seal key is its owner's":              {judgeSealKey(&Settings{SealKey: SealKeyOwned}), good, ""},
		"the seal key is in the environment":       {judgeSealKey(&Settings{SealKey: SealKeyInEnv}), good, "environment"},
		"others can read it":                       {judgeSealKey(&Settings{SealKey: SealKeyExposed}), critical, "others"},
		"it is gone":                               {judgeSealKey(&Settings{SealKey: SealKeyGone}), critical, "gone"},
		"nobody migrates by starting":              {judgeMigrate(&Settings{DatabaseAt: DatabaseVerified}), good, ""},
		"somebody migrates by starting":            {judgeMigrate(&Settings{DatabaseAt: DatabaseVerified, Migrate: true}), warning, "for all"},
		"somebody migrates their own database":     {judgeMigrate(&Settings{DatabaseAt: DatabaseLocal, Migrate: true}), good, ""},
	})
}

// TestWorstIsShown: what is less bad is not told beside it.
func TestWorstIsShown(t *testing.T) {
	v := fine("fine")
	v.say(warning, "a", "one")
	v.say(critical, "b", "two")
	v.say(warning, "c", "three")
	v.say(critical, "d", "four")
	if c := v.check("c"); c.Level != critical || c.Finding != "two; four" || c.Advice != "b" {
		t.Errorf("check %+v", c)
	}
}
