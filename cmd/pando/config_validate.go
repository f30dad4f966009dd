package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/keystore"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/rotation"
	"github.com/pando-ca/pando/store/backup"
)

// problems gathers what is wrong with a configuration, one line for each.
type problems []error

// check adds a problem with a key unless ok.
func (p *problems) check(ok bool, key, format string, args ...any) {
	if !ok {
		*p = append(*p, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
	}
}

// add adds err, if there is one, as a problem with a key.
func (p *problems) add(key string, err error) {
	if err != nil {
		*p = append(*p, fmt.Errorf("%s: %w", key, err))
	}
}

// Validate reports everything that is wrong, one line for each problem, each beginning with the
// key that it is about. What only the database, a file or the network can tell is not judged
// here.
func (c *config) Validate() error {
	var p problems
	td, err := spiffeid.ParseTrustDomain(c.TrustDomain)
	if c.TrustDomain == "" {
		err = errors.New("is required, such as example.org")
	}
	p.add("trust_domain", err)
	p.add("database", validDatabase(c.Database))
	p.check(c.RefreshHint >= duration(time.Second) && c.RefreshHint <= duration(day), "refresh_hint", "%s is not between 1s and 1d", c.RefreshHint)
	c.Keys.validate(&p)
	c.Listen.validate(&p)
	c.Serving.validate(&p)
	p.add("rotation.schedule", validSchedule(rotation.JobRotate, c.Rotation.Schedule))
	p.check(c.Rotation.Lease >= 0, "rotation.lease", "%s is negative", c.Rotation.Lease)
	p.add("urls.issuer", validTemplate(c.URLs.Issuer))
	p.add("urls.crl", c.validCRLTemplate())
	c.Backup.validate(&p)
	c.validateLimits(&p)
	p.check(c.Log.Format == "json" || c.Log.Format == "text", "log.format", "%q is none of json, text", c.Log.Format)
	_, err = c.Log.level()
	p.add("log.level", err)

	if !td.IsZero() {
		_, err = c.administrators(td)
		p.add("administrators", err)
	}
	profiles, err := c.profiles()
	p.add("profiles", err)
	for _, profile := range profiles {
		p.check(duration(profile.MaxDuration) < c.Lifetimes.Intermediate, "lifetimes.intermediate",
			"%s does not cover a certificate of profile %q, which may live for %s", c.Lifetimes.Intermediate, profile.Name, duration(profile.MaxDuration))
	}
	if err == nil {
		c.Serving.validateProfile(&p, profiles)
	}
	c.validateIssuers(&p)
	if len(p) == 0 { // it is about how lifetimes fit together, each of which must be one first
		p.add("rotation", c.rotationPolicy(profiles).Validate())
	}
	return errors.Join(p...)
}

func (k *keysConfig) validate(p *problems) {
	p.check(k.Backend == keysSealed || k.Backend == keysPKCS11, "keys.backend", "%q is none of %s, %s", k.Backend, keysSealed, keysPKCS11)
	switch {
	case k.URI != "":
		p.add("keys.uri", keystore.ValidTokenURI(k.URI)) // which does not repeat it: a PIN may be in it
	case k.Backend == keysPKCS11:
		p.check(false, "keys.uri", "is required with backend %s", keysPKCS11)
	default:
		p.check(k.PINFile == "", "keys.pin_file", "is of no use without keys.uri")
	}
}

func (b *backupConfig) validate(p *problems) {
	p.check(backup.Records(b.Records).Valid(), "backup.records", "%q is none of all, live, none", b.Records)
	p.check(b.Keep >= 0, "backup.keep", "%d is negative", b.Keep)
	p.check(b.KeepFor >= 0, "backup.keep_for", "%s is negative", b.KeepFor)
	if b.Schedule == "" {
		p.check(b.Directory == "", "backup.directory", "is of no use without backup.schedule")
		p.check(len(b.Recipients) == 0, "backup.recipients", "are of no use without backup.schedule")
		return
	}
	p.add("backup.schedule", validSchedule(rotation.JobBackup, b.Schedule))
	p.check(b.Directory != "", "backup.directory", "is required with backup.schedule")
	p.check(len(b.Recipients) > 0, "backup.recipients", "are required with backup.schedule: age-keygen makes a key")
	if len(b.Recipients) > 0 {
		_, err := backup.NewLock(strings.Join(b.Recipients, "\n"))
		p.add("backup.recipients", err)
	}
}

func (l *listenConfig) validate(p *problems) {
	doors := []struct{ key, address string }{
		{"listen.rest", l.REST}, {"listen.grpc", l.GRPC}, {"listen.public", l.Public}, {"listen.metrics", l.Metrics},
	}
	used := make(map[string]string)
	for _, door := range doors {
		if door.address == "" {
			continue
		}
		_, port, err := net.SplitHostPort(door.address)
		if err != nil {
			p.check(false, door.key, "%q is not host:port", door.address)
			continue
		}
		// Names such as https, and numbers up to 65535; it asks no server.
		_, err = new(net.Resolver).LookupPort(context.Background(), "tcp", port)
		p.check(err == nil, door.key, "%q is not a port", port)
		p.check(used[door.address] == "" || port == "0", door.key, "%s is the address of %s too", door.address, used[door.address])
		used[door.address] = door.key
	}
	p.check(l.REST != "" || l.GRPC != "", "listen", "both rest and grpc are closed")
}

func (s *servingConfig) validate(p *problems) {
	for _, name := range s.DNSNames {
		p.add("serving.dns_names", ca.ValidDNSName(name))
	}
	p.check(s.Duration == 0 || s.Duration >= duration(time.Second), "serving.duration", "%s is under one second", s.Duration)
}

// validateProfile compares what the serving certificate shall be with its profile.
func (s *servingConfig) validateProfile(p *problems, profiles []policy.Profile) {
	at := slices.IndexFunc(profiles, func(p policy.Profile) bool { return p.Name == s.Profile })
	if at < 0 {
		p.check(false, "serving.profile", "there is no profile %q", s.Profile)
		return
	}
	profile := &profiles[at]
	longest := duration(profile.MaxDuration)
	p.check(s.Duration <= longest, "serving.duration", "%s exceeds max_duration of profile %q, which is %s", s.Duration, s.Profile, longest)
	p.check(profile.DNSNames || len(s.DNSNames) == 0, "serving.dns_names", "profile %q allows no DNS names", s.Profile)
	p.check(!profile.RequireDNSNames || len(s.DNSNames) > 0, "serving.dns_names", "profile %q requires a DNS name", s.Profile)
}

// validateLimits judges the numbers that have bounds.
func (c *config) validateLimits(p *problems) {
	const longest = 50 * 365 * day // keeps not_after within what X.509 and both databases hold
	for _, bound := range []struct {
		key              string
		value, low, high float64
		text             string
	}{
		{"lifetimes.root", c.Lifetimes.Root.seconds(), 1, longest.Seconds(), "between 1s and 50 years"},
		{"lifetimes.intermediate", c.Lifetimes.Intermediate.seconds(), 1, c.Lifetimes.Root.seconds(), "between 1s and lifetimes.root"},
		{"pre_renewal.rate", c.PreRenewal.Rate, 0.01, 1e6, "between 0.01 and 1000000"},
		{"crl.shards", float64(c.CRL.Shards), 1, ca.MaxCRLShards, fmt.Sprintf("between 1 and %d", ca.MaxCRLShards)},
		{"crl.period", c.CRL.Period.seconds(), 1, (7 * day).Seconds(), "between 1s and 7d"},
		{"limits.identity_rate", c.Limits.IdentityRate, 0, 1e9, "0 or more"},
		{"limits.identity_burst", float64(c.Limits.IdentityBurst), 0, 1e9, "0 or more"},
		{"limits.address_rate", c.Limits.AddressRate, 0, 1e9, "0 or more"},
		{"limits.address_burst", float64(c.Limits.AddressBurst), 0, 1e9, "0 or more"},
		{"limits.failure_rate", c.Limits.FailureRate, 0, 1e9, "0 or more"},
		{"limits.failure_burst", float64(c.Limits.FailureBurst), 1, 1e9, "1 or more"},
		{"limits.max_connections", float64(c.Limits.MaxConnections), 0, 1e9, "0 or more"},
		{"limits.max_waiting", float64(c.Limits.MaxWaiting), 1, 1e9, "1 or more"},
		{"limits.max_database", float64(c.Limits.MaxDatabase), 2, 10_000, "between 2 and 10000"},
		{"timeouts.startup", c.Timeouts.Startup.seconds(), 0, day.Seconds(), "between 0s and 1d"},
		{"timeouts.lame_duck", c.Timeouts.LameDuck.seconds(), 0, day.Seconds(), "between 0s and 1d"},
		{"timeouts.drain", c.Timeouts.Drain.seconds(), 0, day.Seconds(), "between 0s and 1d"},
		{"records.retention", c.Records.Retention.seconds(), 0, longest.Seconds(), "between 0s and 50 years"},
	} {
		// Written so that NaN is refused.
		p.check(bound.value >= bound.low && bound.value <= bound.high, bound.key, "must be %s", bound.text)
	}
}

func (d duration) seconds() float64 { return time.Duration(d).Seconds() }

func (c *config) validateIssuers(p *problems) {
	seen := make(map[string]bool)
	for i, issuer := range c.Issuers {
		key := fmt.Sprintf("issuers[%d]", i)
		if issuer.Name != "" {
			key = fmt.Sprintf("issuers %q", issuer.Name)
		}
		p.check(!seen[issuer.Name], key, "is defined twice")
		seen[issuer.Name] = true
		sources := 0
		for _, source := range []string{issuer.DiscoveryURL, issuer.JWKSURL, issuer.JWKSFile} {
			if source != "" {
				sources++
			}
		}
		if sources > 1 {
			p.check(false, key, "only one of discovery_url, jwks_url and jwks_file can be given")
			continue
		}
		p.add(key, c.Issuers[i].authConfig().Validate())
	}
}

// validCRLTemplate judges the URL template of CRLs, and what in it tells the lists apart.
func (c *config) validCRLTemplate() error {
	if err := validTemplate(c.URLs.CRL); err != nil || c.URLs.CRL == "" {
		return err
	}
	if !strings.Contains(c.URLs.CRL, "{authority}") {
		return fmt.Errorf("%q lacks {authority}: each authority has a list of its own", c.URLs.CRL)
	}
	if c.CRL.Shards > 1 && !strings.Contains(c.URLs.CRL, "{shard}") {
		return fmt.Errorf("%q lacks {shard}, and crl.shards is %d", c.URLs.CRL, c.CRL.Shards)
	}
	return nil
}

// level is the least level that is logged.
func (l *logConfig) level() (slog.Level, error) {
	switch l.Level {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("%q is none of debug, info, warn, error", l.Level)
}

// validDatabase judges the form of a database URL. Its error never repeats it: there may be
// a password in it.
func validDatabase(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return errors.New("is not a URL such as postgres://pando@db.example.org/pando")
	}
	return nil
}

// validSchedule judges when a job runs.
func validSchedule(job, text string) error {
	nothing := func(context.Context, time.Time) error { return nil }
	_, err := rotation.NewScheduler(rotation.SchedulerConfig{
		Jobs: []rotation.Job{{Name: job, Schedule: text, Do: nothing}},
	})
	return err
}

// validTemplate judges a URL template that certificates will carry.
func validTemplate(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(strings.ReplaceAll(text, "{authority}", "0000000000000000"))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%q is not an HTTP URL", text)
	}
	if strings.ContainsAny(text, " \t\r\n") || strings.ContainsFunc(text, func(r rune) bool { return r > 0x7e || r < 0x21 }) {
		return fmt.Errorf("%q is not plain ASCII", text)
	}
	return nil
}
