package policy

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pando-ca/pando/ca"
)

// Names of the two profiles that are always there.
const (
	ProfileWorkload = "workload"
	ProfileServer   = "server"
)

// maxProfileDuration is the longest validity that any profile may allow. Two years
// exceed what public CAs may sign (398 days) and keep the number of daily partitions
// that have to be made ahead within reason.
const maxProfileDuration = 2 * 365 * 24 * time.Hour

// Profile is what a kind of certificate looks like. A certificate's validity period
// (NotAfter minus NotBefore) is exactly its duration.
type Profile struct {
	Name          string
	Duration      time.Duration // when the request names none
	MaxDuration   time.Duration
	RenewAt       float64 // centre of the renewal window as a fraction of the validity; 0: 1/2 up to 24 h, 2/3 above
	ExtKeyUsage   []x509.ExtKeyUsage
	KeyAlgorithms []ca.KeyAlgorithm
	Organization  []string // subject O; empty: an empty subject

	DNSNames         bool // whether DNS names are allowed at all
	RequireDNSNames  bool // whether there must be at least one
	WildcardDNSNames bool // whether the leftmost label may be "*"
}

// Profiles returns the built-in profiles: workload for short-lived X.509-SVIDs, and
// server for certificates with DNS names that ordinary TLS clients verify.
func Profiles() []Profile {
	both := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	all := ca.KeyAlgorithms()
	return []Profile{{
		Name: ProfileWorkload, Duration: time.Hour, MaxDuration: 24 * time.Hour,
		ExtKeyUsage: both, KeyAlgorithms: all, DNSNames: true,
	}, {
		Name: ProfileServer, Duration: 60 * 24 * time.Hour, MaxDuration: 90 * 24 * time.Hour,
		ExtKeyUsage: both, KeyAlgorithms: slices.Clone(all), DNSNames: true, RequireDNSNames: true,
	}}
}

// Validate reports what is wrong with a profile.
func (p *Profile) Validate() error {
	err := p.invalid()
	if err != nil {
		return fmt.Errorf("profile %q: %w", p.Name, err)
	}
	return nil
}

func (p *Profile) invalid() error {
	switch {
	case !validProfileName(p.Name):
		return errors.New("name is not 1 to 63 of a-z, 0-9, '.', '_', '-', beginning with a letter or a digit")
	case p.Duration < time.Second:
		return fmt.Errorf("duration %s is under one second", span(p.Duration))
	case p.Duration > p.MaxDuration:
		return fmt.Errorf("duration %s exceeds the maximum of %s", span(p.Duration), span(p.MaxDuration))
	case p.MaxDuration > maxProfileDuration:
		return fmt.Errorf("maximum duration %s exceeds %s", span(p.MaxDuration), span(maxProfileDuration))
	case p.RenewAt != 0 && (p.RenewAt < 0.2 || p.RenewAt > 0.8):
		return fmt.Errorf("renewal at %v of the lifetime is not between 0.2 and 0.8", p.RenewAt)
	case len(p.KeyAlgorithms) == 0:
		return errors.New("allows no key algorithm")
	case !slices.Contains(p.ExtKeyUsage, x509.ExtKeyUsageServerAuth) || !slices.Contains(p.ExtKeyUsage, x509.ExtKeyUsageClientAuth):
		// X509-SVID section 4.4: if the extension is there, both must be.
		return errors.New("extended key usage lacks serverAuth or clientAuth")
	case len(p.Organization) > 1:
		return errors.New("has more than one subject organisation")
	case !p.DNSNames && (p.RequireDNSNames || p.WildcardDNSNames):
		return errors.New("asks for DNS names that it does not allow")
	}
	for _, name := range p.Organization {
		if err := ca.ValidOrganization(name); err != nil {
			return err
		}
	}
	known := ca.KeyAlgorithms()
	for _, alg := range p.KeyAlgorithms {
		if !slices.Contains(known, alg) {
			return fmt.Errorf("unknown key algorithm %q", alg)
		}
	}
	return p.invalidUsage()
}

// validProfileName reports whether a text can name a profile in requests, records, labels of
// metrics and on command lines.
func validProfileName(text string) bool {
	const first, all = "abcdefghijklmnopqrstuvwxyz0123456789", "abcdefghijklmnopqrstuvwxyz0123456789._-"
	return text != "" && len(text) <= 63 && strings.Contains(first, text[:1]) && strings.Trim(text, all) == ""
}

// invalidUsage refuses usages by which a leaf would act for a CA or for anything at all.
func (p *Profile) invalidUsage() error {
	for _, usage := range p.ExtKeyUsage {
		if usage == x509.ExtKeyUsageAny || usage == x509.ExtKeyUsageOCSPSigning {
			return errors.New("extended key usage holds anyExtendedKeyUsage or OCSPSigning")
		}
	}
	return nil
}

// CheckDNSNames returns a *Denial unless a certificate of the profile may carry exactly these
// DNS names.
func (p *Profile) CheckDNSNames(names []string) error {
	switch {
	case len(names) > 0 && !p.DNSNames:
		return deny(RuleDNSName, "profile %q does not allow DNS names", p.Name)
	case len(names) > maxDNSNames:
		return deny(RuleDNSName, "%d DNS names exceed the limit of %d", len(names), maxDNSNames)
	case len(names) == 0 && p.RequireDNSNames:
		return deny(RuleDNSName, "profile %q requires a DNS name", p.Name)
	}
	for i, name := range names {
		if err := ca.ValidDNSName(name); err != nil {
			return deny(RuleDNSName, "%v", err)
		}
		if slices.Contains(names[:i], name) {
			return deny(RuleDNSName, "%q stands twice", name)
		}
		if strings.HasPrefix(name, "*") && !p.WildcardDNSNames {
			return deny(RuleDNSName, "profile %q does not allow the wildcard %q", p.Name, name)
		}
	}
	return nil
}
