package auth

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pando-ca/pando/ca/policy"
)

const (
	defaultMaxLifetime = 24 * time.Hour
	defaultLeeway      = time.Minute
	defaultKeysMaxAge  = 24 * time.Hour

	// maxLeeway is more than the clocks of two computers that work differ by.
	maxLeeway = 10 * time.Minute

	// minKeysMaxAge leaves time for some failed fetches.
	minKeysMaxAge = 2 * time.Minute

	discoveryPath = "/.well-known/openid-configuration" // OpenID Connect Discovery, section 4
)

// IssuerConfig describes an issuer of JWTs. Name, Issuer and Audiences are required. The keys
// come from at most one of DiscoveryURL, JWKSURL and JWKSFile; from none, they come from
// OpenID Connect Discovery at the well-known place under Issuer.
type IssuerConfig struct {
	Name   string // by which entries name it: lower-case letters, digits, '-', '_' and '.'
	Issuer string // the exact value of iss

	DiscoveryURL string // of the discovery document, whose issuer must equal Issuer
	JWKSURL      string // of the JWK Set (RFC 7517, section 5)
	JWKSFile     string // path of a JWK Set; it is read again when the keys are fetched again

	Audiences   []string      // aud must hold one of them, exactly
	Algorithms  []string      // allowed values of alg; none: RS256, ES256, ES384, EdDSA
	MaxLifetime time.Duration // of a token, from iat and from now on; 0: 24 h
	Leeway      time.Duration // for clocks that differ; 0: 1 min; at most 10 min
	KeysMaxAge  time.Duration // how long keys are used without being fetched anew; 0: 24 h

	// RoleClaim leads to the claim whose value viewer, operator or admin makes the caller an
	// administrator: a top-level name or a JSON pointer (RFC 6901). Empty: nobody is one.
	RoleClaim string

	// Reusable allows a token to be used any number of times until it expires, as is meant for
	// Kubernetes service-account tokens. Otherwise jti is required, and one token obtains one
	// certificate.
	Reusable bool

	RootCAs *x509.CertPool // that the issuer's TLS certificate must chain to; nil: the system's

	// AllowHTTPLoopback allows http in place of https for URLs whose host is a loopback IP
	// address, for tests and for an issuer behind a local proxy. A host name is not enough:
	// who answers to it is up to a resolver.
	AllowHTTPLoopback bool
}

// Issuer is an issuer of JWTs, checked, with its keys. It is safe for concurrent use.
type Issuer struct {
	name        string
	issuer      string
	audiences   []string
	algorithms  []string
	maxLifetime time.Duration
	leeway      time.Duration
	roleClaim   policy.Pointer
	reusable    bool
	keys        *keyring
}

// NewIssuer checks a configuration. Keys in a file are read at once, so that a bad file is an
// error here; keys behind a URL are fetched when they are needed first, or by
// [Authenticator.Run], so that an issuer that is down does not keep a server from starting.
// The error leaves it to the caller to name the issuer.
func NewIssuer(cfg IssuerConfig) (*Issuer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	i := &Issuer{
		name: cfg.Name, issuer: cfg.Issuer,
		audiences: slices.Clone(cfg.Audiences), algorithms: slices.Clone(cfg.Algorithms),
		maxLifetime: cfg.MaxLifetime, leeway: cfg.Leeway, reusable: cfg.Reusable,
		keys: newKeyring(cfg.source(), cfg.KeysMaxAge),
	}
	if cfg.RoleClaim != "" {
		var err error
		if i.roleClaim, err = policy.ParsePointer(cfg.RoleClaim); err != nil {
			return nil, fmt.Errorf("role claim: %w", err)
		}
	}
	if cfg.JWKSFile != "" {
		ctx := context.Background() // reading a file does not wait for anything
		if err := i.keys.refresh(ctx, ctx, time.Now()); err != nil {
			return nil, err
		}
	}
	return i, nil
}

// Validate reports the first thing that is wrong with c, without reading a file or asking
// anybody. The error does not name the issuer.
func (c IssuerConfig) Validate() error {
	c = c.withDefaults()
	if err := c.invalid(); err != nil {
		return err
	}
	if c.RoleClaim == "" {
		return nil
	}
	if _, err := policy.ParsePointer(c.RoleClaim); err != nil {
		return fmt.Errorf("role claim: %w", err)
	}
	return nil
}

// Name is the configured name.
func (i *Issuer) Name() string { return i.name }

func (i *Issuer) allows(alg string) bool { return slices.Contains(i.algorithms, alg) }

func (c IssuerConfig) withDefaults() IssuerConfig {
	if c.DiscoveryURL == "" && c.JWKSURL == "" && c.JWKSFile == "" {
		c.DiscoveryURL = strings.TrimSuffix(c.Issuer, "/") + discoveryPath
	}
	if len(c.Algorithms) == 0 {
		c.Algorithms = defaultAlgorithms()
	}
	if c.MaxLifetime == 0 {
		c.MaxLifetime = defaultMaxLifetime
	}
	if c.Leeway == 0 {
		c.Leeway = defaultLeeway
	}
	if c.KeysMaxAge == 0 {
		c.KeysMaxAge = defaultKeysMaxAge
	}
	return c
}

func (c *IssuerConfig) invalid() error {
	validName := regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)
	switch {
	case !validName.MatchString(c.Name):
		// The name and sub, with a space between them, are the caller's subject.
		return errors.New("name is not 1 to 63 of a-z, 0-9, '.', '_', '-', beginning with a letter or a digit")
	case c.Issuer == "":
		return errors.New("issuer is missing")
	case len(c.Audiences) == 0:
		return errors.New("audiences are missing: a token for another service must not be accepted here")
	case slices.Contains(c.Audiences, ""):
		return errors.New("an audience is empty")
	case c.MaxLifetime < time.Second:
		return fmt.Errorf("maximum lifetime %s is under one second", c.MaxLifetime)
	case c.Leeway < 0 || c.Leeway > maxLeeway:
		return fmt.Errorf("leeway %s is not between 0 and %s", c.Leeway, maxLeeway)
	case c.KeysMaxAge < minKeysMaxAge:
		return fmt.Errorf("maximum age of keys %s is under %s", c.KeysMaxAge, minKeysMaxAge)
	}
	for _, alg := range c.Algorithms {
		if !slices.Contains(algorithms(), alg) {
			return fmt.Errorf("algorithm %q is none of %s", alg, strings.Join(algorithms(), ", "))
		}
	}
	return c.invalidSource()
}

func (c *IssuerConfig) invalidSource() error {
	given := 0
	for _, place := range [...]string{c.DiscoveryURL, c.JWKSURL, c.JWKSFile} {
		if place != "" {
			given++
		}
	}
	if given > 1 {
		return errors.New("keys come from more than one of a discovery URL, a JWKS URL and a JWKS file")
	}
	for _, address := range [...]string{c.DiscoveryURL, c.JWKSURL} {
		if address == "" {
			continue
		}
		if err := checkURL(address, c.AllowHTTPLoopback); err != nil {
			return err
		}
	}
	return nil
}

func (c *IssuerConfig) source() source {
	if c.JWKSFile != "" {
		return fileSource(c.JWKSFile)
	}
	return newRemote(c)
}
