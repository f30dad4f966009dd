package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/rotation"
)

// profileAdministrator is the profile of administrators' certificates. A day, the longest that
// the workload profile gives, would lock out whoever is away for a weekend; and nothing
// renews a certificate in a person's files, as the client library does for a workload.
const profileAdministrator = "administrator"

// builtinProfiles are the profiles that are there without configuration.
func builtinProfiles() []policy.Profile {
	profiles := policy.Profiles()
	administrator := profiles[0]
	administrator.Name = profileAdministrator
	administrator.Duration, administrator.MaxDuration = 30*day, 90*day
	administrator.DNSNames = false
	return append(profiles, administrator)
}

// profiles are the built-in profiles, changed and added to by the configuration.
func (c *config) profiles() ([]policy.Profile, error) {
	profiles := builtinProfiles()
	workload := profiles[0]
	seen := make(map[string]bool)
	for _, configured := range c.Profiles {
		if seen[configured.Name] {
			return nil, fmt.Errorf("%q is defined twice", configured.Name)
		}
		seen[configured.Name] = true
		at := slices.IndexFunc(profiles, func(p policy.Profile) bool { return p.Name == configured.Name })
		if at < 0 {
			at = len(profiles)
			profiles = append(profiles, workload)
			profiles[at].Name = configured.Name
		}
		if err := configured.apply(&profiles[at]); err != nil {
			return nil, err
		}
	}
	return profiles, nil
}

// apply changes p to what is configured, and judges the result.
func (c *profileConfig) apply(p *policy.Profile) error {
	set(&p.Duration, (*time.Duration)(c.Duration))
	set(&p.MaxDuration, (*time.Duration)(c.MaxDuration))
	if c.MaxDuration != nil && c.Duration == nil && p.Duration > p.MaxDuration {
		p.Duration = p.MaxDuration
	}
	if p.Duration > p.MaxDuration {
		// The maximum is not raised for it: it says what requests may name.
		return fmt.Errorf("%q: duration %s exceeds max_duration, which is %s", c.Name, duration(p.Duration), duration(p.MaxDuration))
	}
	set(&p.RenewAt, c.RenewAt)
	set(&p.DNSNames, c.DNSNames)
	set(&p.RequireDNSNames, c.RequireDNSNames)
	set(&p.WildcardDNSNames, c.WildcardDNSNames)
	if c.Organization != nil {
		p.Organization = c.Organization
	}
	if c.KeyAlgorithms != nil {
		p.KeyAlgorithms = make([]ca.KeyAlgorithm, len(c.KeyAlgorithms))
		for i, name := range c.KeyAlgorithms {
			p.KeyAlgorithms[i] = ca.KeyAlgorithm(name)
		}
	}
	if c.ExtKeyUsage != nil {
		p.ExtKeyUsage = make([]x509.ExtKeyUsage, len(c.ExtKeyUsage))
		for i, name := range c.ExtKeyUsage {
			usage, err := parseExtKeyUsage(name)
			if err != nil {
				return fmt.Errorf("%q: %w", c.Name, err)
			}
			p.ExtKeyUsage[i] = usage
		}
	}
	return p.Validate()
}

// set gives *to the value that is configured, if one is.
func set[T any](to *T, configured *T) {
	if configured != nil {
		*to = *configured
	}
}

// parseExtKeyUsage reads an extended key usage by its name in RFC 5280, section 4.2.1.12.
func parseExtKeyUsage(name string) (x509.ExtKeyUsage, error) {
	switch name {
	case "serverAuth":
		return x509.ExtKeyUsageServerAuth, nil
	case "clientAuth":
		return x509.ExtKeyUsageClientAuth, nil
	case "codeSigning":
		return x509.ExtKeyUsageCodeSigning, nil
	case "emailProtection":
		return x509.ExtKeyUsageEmailProtection, nil
	}
	return 0, fmt.Errorf("extended key usage %q is none of serverAuth, clientAuth, codeSigning, emailProtection", name)
}

// administrators are the roles by SPIFFE ID.
func (c *config) administrators(td spiffeid.TrustDomain) (map[spiffeid.ID]policy.Role, error) {
	roles := make(map[spiffeid.ID]policy.Role, len(c.Administrators))
	for _, a := range c.Administrators {
		id, err := spiffeid.Parse(a.SPIFFEID)
		if err != nil {
			return nil, err
		}
		role := policy.Role(a.Role)
		switch {
		case !id.MemberOf(td) || !policy.Reserved(id):
			return nil, fmt.Errorf("%s is not under %s/pando/", id, td.ID())
		case !role.Valid():
			return nil, fmt.Errorf("%s: role %q is none of viewer, operator, admin", id, a.Role)
		case roles[id] != "":
			return nil, fmt.Errorf("%s appears twice", id)
		}
		roles[id] = role
	}
	return roles, nil
}

// trustDomain is the parsed trust domain of a configuration that is valid.
func (c *config) trustDomain() (spiffeid.TrustDomain, error) {
	if c.TrustDomain == "" {
		return spiffeid.TrustDomain{}, errors.New("trust_domain: is required, such as example.org")
	}
	td, err := spiffeid.ParseTrustDomain(c.TrustDomain)
	if err != nil {
		return td, fmt.Errorf("trust_domain: %w", err)
	}
	return td, nil
}

// urls are the URL templates in certificates.
func (c *config) urls() ca.URLs { return ca.URLs{Issuer: c.URLs.Issuer, CRL: c.URLs.CRL} }

// crlPolicy is when and where CRLs are published.
func (c *config) crlPolicy() rotation.CRLPolicy {
	return rotation.CRLPolicy{Period: time.Duration(c.CRL.Period), URLs: c.urls()}
}

// rotationPolicy is when authorities are replaced. By default each is active for a third of its
// lifetime, or for as long as it covers what it has to if that is shorter.
func (c *config) rotationPolicy(profiles []policy.Profile) rotation.Policy {
	p := rotation.Policy{
		RootLifetime: time.Duration(c.Lifetimes.Root), RootEvery: time.Duration(c.Rotation.Root),
		IntermediateLifetime: time.Duration(c.Lifetimes.Intermediate), IntermediateEvery: time.Duration(c.Rotation.Intermediate),
		Skew: time.Duration(c.Rotation.Skew), RefreshHint: time.Duration(c.RefreshHint),
	}
	for _, profile := range profiles {
		p.LongestLeaf = max(p.LongestLeaf, profile.MaxDuration)
	}
	if p.IntermediateEvery == 0 {
		p.IntermediateEvery = min(p.IntermediateLifetime/3, p.IntermediateLifetime-p.LongestLeaf-2*p.Skew)
	}
	if p.RootEvery == 0 { // and not before the one that came before it is gone
		p.RootEvery = min(p.RootLifetime/3, p.RootLifetime-p.IntermediateLifetime-p.LongestLeaf-p.Skew)
		p.RootEvery = max(p.RootEvery, 2*(p.LongestLeaf+p.Skew))
	}
	return p
}
