package main

import (
	"errors"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/keystore"
	"github.com/pando-ca/pando/ca/spiffeid"
)

// ceremonyConfig is what is reviewed before a ceremony.
type ceremonyConfig struct {
	TrustDomain  string             `yaml:"trust_domain"`
	Root         ceremonyRoot       `yaml:"root"`
	Intermediate ceremonyValidity   `yaml:"intermediate"`
	URLs         ceremonyURLsConfig `yaml:"urls"`
}

// ceremonyValidity is the first and the last moment of use.
type ceremonyValidity struct {
	NotBefore time.Time `yaml:"not_before"`
	NotAfter  time.Time `yaml:"not_after"`
}

// ceremonyRoot is the root, and where its key goes: into a file, unless a token is named.
type ceremonyRoot struct {
	NotBefore    time.Time     `yaml:"not_before"`
	NotAfter     time.Time     `yaml:"not_after"`
	Organization string        `yaml:"organization"`
	Key          string        `yaml:"key"` // algorithm; empty means ecdsa-p384
	Token        ceremonyToken `yaml:"token"`
}

// ceremonyToken is the token that keeps the root's key.
type ceremonyToken struct {
	URI     string `yaml:"uri"`
	PINFile string `yaml:"pin_file"`
}

// ceremonyURLsConfig is the URLs in intermediates: where the root's certificate and CRL are.
type ceremonyURLsConfig struct {
	Issuer string `yaml:"issuer"`
	CRL    string `yaml:"crl"`
}

// validate reports everything that is wrong, one line for each problem.
func (c *ceremonyConfig) validate() error {
	var p problems
	_, err := spiffeid.ParseTrustDomain(c.TrustDomain)
	p.add("trust_domain", err)
	if c.Root.Key == "" {
		c.Root.Key = string(ca.ECDSAP384)
	}
	known := false
	for _, alg := range ca.KeyAlgorithms() {
		known = known || string(alg) == c.Root.Key
	}
	p.check(known, "root.key", "algorithm %q is unknown", c.Root.Key)
	p.check(c.Root.Token.URI != "" || c.Root.Token.PINFile == "", "root.token.pin_file", "is of no use without root.token.uri")
	if c.Root.Token.URI != "" {
		p.add("root.token.uri", keystore.ValidTokenURI(c.Root.Token.URI))
	}
	if c.Root.Organization != "" {
		p.add("root.organization", ca.ValidOrganization(c.Root.Organization))
	}
	p.check(!c.Root.NotBefore.IsZero() && c.Root.NotBefore.Before(c.Root.NotAfter), "root", "not_before must come before not_after, and both are required")
	i := c.Intermediate
	p.check(!i.NotBefore.IsZero() && i.NotBefore.Before(i.NotAfter), "intermediate", "not_before must come before not_after, and both are required")
	p.check(!i.NotBefore.Before(c.Root.NotBefore) && !i.NotAfter.After(c.Root.NotAfter), "intermediate", "does not lie within the root's validity")
	p.add("urls", ca.URLs{Issuer: c.URLs.Issuer, CRL: c.URLs.CRL}.Validate())
	return errors.Join(p...)
}
