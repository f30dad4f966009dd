package diagnosis

import (
	"context"
	"slices"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/policy"
)

// Settings is what is judged of a configuration.
type Settings struct {
	Listeners  []Listener
	Profiles   []policy.Profile
	Issuers    []Issuer
	Retention  time.Duration // of records, after their certificates have expired
	DatabaseAt DatabaseAt
	Migrate    bool    // serve migrates the database when it starts
	SealKey    SealKey // where it is
}

// Listener is a door.
type Listener struct {
	Name   string // as in the configuration, without listen.
	TLS    bool
	Public bool // addresses of the Internet reach it, as far as the addresses of this machine tell
	Plain  bool // meant for everybody and without TLS: what it serves is signed
}

// Issuer is an issuer of JWTs.
type Issuer struct {
	Name        string
	Reusable    bool          // a token may be shown more than once
	Roles       bool          // a claim makes administrators
	MaxLifetime time.Duration // of a token
}

// DatabaseAt is how the database is reached.
type DatabaseAt string

// The ways to a database.
const (
	DatabaseLocal    DatabaseAt = "local"    // a file, a socket or this machine
	DatabaseVerified DatabaseAt = "verified" // over TLS, and the server is verified
	DatabaseTLS      DatabaseAt = "tls"      // over TLS, with whoever answers
	DatabasePlain    DatabaseAt = "plain"    // without TLS, or without it if the server likes
)

// SealKey is where the seal key is.
type SealKey string

// The places of a seal key.
const (
	SealKeyOwned   SealKey = "owned"       // a file that only its owner reads
	SealKeyExposed SealKey = "exposed"     // a file that others can read
	SealKeyGone    SealKey = "gone"        // the file is not there any more
	SealKeyInEnv   SealKey = "environment" // the environment
)

const (
	// longLeaf is what a certificate may live for that nobody has to revoke: the maximum of the
	// built-in profile workload.
	longLeaf = 24 * time.Hour
	// longServer is what one may live for that DNS names are in, or that a person holds: the maximum of
	// the built-in profiles server and administrator.
	longServer = 90 * day
	// administratorProfile is the built-in profile for people.
	administratorProfile = "administrator"
	// roleToken is what a token may live for that makes an administrator of who shows it.
	roleToken = time.Hour
)

// rsa2048Until is how long RSA with 2048 bits is good for: 112 bits of strength are not to be
// relied on after 2030 (NIST SP 800-57 part 1, table 4).
func rsa2048Until() time.Time { return time.Date(2031, time.January, 1, 0, 0, 0, 0, time.UTC) }

// settingsChecks are about the configuration of this replica.
func (e *Examiner) settingsChecks() {
	for _, c := range []struct {
		name  string
		judge func(*Settings) verdict
	}{
		{"listeners", judgeListeners}, {"lifetimes", judgeLifetimes}, {"administrators", judgeAdministrators},
		{"database_connection", judgeDatabase}, {"seal_key", judgeSealKey}, {"migrate", judgeMigrate},
	} {
		e.add(c.name, func(context.Context, time.Time) (verdict, error) {
			settings := e.cfg.Settings()
			return c.judge(&settings), nil
		})
	}
}

// judgeListeners looks for doors without TLS that strangers reach.
func judgeListeners(s *Settings) verdict {
	v := fine("no door without TLS is open to the Internet, but that for what is signed")
	for _, l := range s.Listeners {
		v.grade(false, !l.TLS && !l.Plain && l.Public, "bind listen."+l.Name+" to an inner address: docs/configuration.md",
			"the door %s has no TLS, and listens on an address of the Internet", l.Name)
		v.note(l.Name, doorText(&l))
	}
	return v
}

func doorText(l *Listener) string {
	text := "inner addresses"
	if l.Public {
		text = "public addresses"
	}
	if l.TLS {
		return "TLS, " + text
	}
	return "plain, " + text
}

// judgeLifetimes looks for profiles whose certificates live for long.
func judgeLifetimes(s *Settings) verdict {
	v := fine("no profile gives certificates that live for longer than they should")
	for i := range s.Profiles {
		p := &s.Profiles[i]
		most := longLeaf
		if p.RequireDNSNames || p.Name == administratorProfile {
			most = longServer
		}
		v.note(p.Name, span(p.MaxDuration))
		v.grade(false, p.MaxDuration > most, "lower max_duration of the profile: docs/configuration.md",
			"profile %s gives certificates of up to %s; over %s, a key that was copied is of use for long", p.Name, span(p.MaxDuration), span(most))
	}
	return v
}

// judgeAlgorithms looks for keys that will be too weak before their certificates end.
func judgeAlgorithms(all []authority, profiles []policy.Profile, now time.Time) verdict {
	v := fine("no key is in use for longer than it is strong")
	limit := rsa2048Until()
	v.note("rsa_2048_until", instant(limit))
	for i := range all {
		a := &all[i]
		algorithm, err := ca.KeyAlgorithmOf(a.cert.PublicKey)
		weak := err == nil && algorithm == ca.RSA2048 && a.is(ca.StatePrepared, ca.StateActive)
		v.grade(false, weak && a.cert.NotAfter.After(limit), "replace it by one with another key: docs/keys.md",
			"%s has a key of RSA 2048 and ends at %s", a.text(), instant(a.cert.NotAfter))
	}
	for i := range profiles {
		p := &profiles[i]
		weak := slices.Contains(p.KeyAlgorithms, ca.RSA2048) && now.Add(p.MaxDuration).After(limit)
		v.grade(false, weak, "take rsa-2048 out of key_algorithms of the profile: docs/configuration.md",
			"profile %s gives certificates for keys of RSA 2048 that end after %s", p.Name, limit.Format(time.DateOnly))
	}
	return v
}

// judgeAdministrators looks at issuers whose tokens make administrators.
func judgeAdministrators(s *Settings) verdict {
	v := fine("no token that lives for long makes an administrator")
	for _, i := range s.Issuers {
		if !i.Roles {
			continue
		}
		v.note(i.Name, "tokens of up to "+span(i.MaxLifetime))
		v.grade(false, i.Reusable, "make an issuer of its own for administrators, without reusable: docs/authentication.md",
			"a token of issuer %s makes an administrator, and may be shown any number of times", i.Name)
		v.grade(false, !i.Reusable && i.MaxLifetime > roleToken, "set max_lifetime of the issuer to 1h: docs/configuration.md",
			"a token of issuer %s makes an administrator, and may live for %s", i.Name, span(i.MaxLifetime))
	}
	return v
}

// judgeDatabase looks at the way to the database.
func judgeDatabase(s *Settings) verdict {
	v := fine("nobody on the way to the database can read along")
	v.note("connection", s.DatabaseAt)
	v.grade(false, s.DatabaseAt == DatabasePlain, "set sslmode=verify-full and sslrootcert in the URL of the database: docs/deployment.md",
		"the connection to the database may be without TLS")
	v.grade(false, s.DatabaseAt == DatabaseTLS, "set sslmode=verify-full and sslrootcert in the URL of the database: docs/deployment.md",
		"the connection to the database is made to whoever answers: the server is not verified")
	return v
}

// judgeSealKey looks at who can read the seal key.
func judgeSealKey(s *Settings) verdict {
	v := fine("only its owner can read the seal key")
	v.note("place", s.SealKey)
	v.grade(s.SealKey == SealKeyExposed, false, "chmod 0600, and look who may have read it: docs/keys.md",
		"others than its owner can read the file of the seal key, and the server will not start again")
	v.grade(s.SealKey == SealKeyGone, false, "put it back from where it is kept: docs/runbooks/lost-keys.md",
		"the file of the seal key is gone: the server runs, and will not start again")
	if s.SealKey == SealKeyInEnv {
		v.fine = "the seal key is in the environment of the process"
	}
	return v
}

// judgeMigrate looks whether a start changes the schema of a database that others may use.
func judgeMigrate(s *Settings) verdict {
	v := fine("the schema is changed when somebody says so")
	if s.DatabaseAt == DatabaseLocal {
		v.fine = "the database is that of this machine"
		return v
	}
	v.grade(false, s.Migrate, "set migrate: false, and run pando migrate as a step of an upgrade: docs/operations.md",
		"the first replica of a new version that starts changes the schema for all")
	return v
}
