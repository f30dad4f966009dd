package policy

import (
	"slices"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/spiffeid"
)

// Want is what a request asks for besides its key. Zero fields leave the choice to policy.
type Want struct {
	ID       spiffeid.ID
	DNSNames []string
	Profile  string
	Duration time.Duration
}

// Current is what was recorded of the certificate that a caller presented: what a renewal
// may have again.
type Current struct {
	ID       spiffeid.ID
	DNSNames []string
	Profile  string
	EntryID  string // empty when an administrator signed it, or Pando itself
}

// Input is all that a decision depends on.
type Input struct {
	Caller   Caller
	CSR      *ca.CSR
	Want     Want
	Entries  []*Entry // join token: the one that it is bound to; JWT: those of its issuer; pre-renewal: that of the certificate
	Current  *Current // peer certificate, or the one that is pre-renewed: what its record says
	Profiles map[string]*Profile
	Set      *ca.Set
	Now      time.Time
}

// Grant is the exact certificate that may be signed, and the rule that allows it.
type Grant struct {
	Leaf     ca.Leaf
	Profile  *Profile
	EntryID  string    // must still exist when the record is written; empty: no entry
	Replaces ca.Serial // the certificate that is renewed; zero: none
}

// proposal is what one way of authentication allows, before it is judged.
type proposal struct {
	id       spiffeid.ID
	dnsNames []string // those that the caller may have
	profile  string
	entryID  string
	replaces ca.Serial
	anyName  bool // an administrator names DNS names freely
	trusted  bool // may lie under /pando/
}

// Decide answers with the certificate that the caller may have, or with a *Denial.
func Decide(in Input) (*Grant, error) {
	p, err := propose(&in)
	if err != nil {
		return nil, err
	}
	if err := checkIdentity(&in, p); err != nil {
		return nil, err
	}
	profile, err := checkProfile(&in, p)
	if err != nil {
		return nil, err
	}
	dnsNames, err := grantDNSNames(&in, p, profile)
	if err != nil {
		return nil, err
	}
	notBefore, notAfter, err := validity(&in, profile)
	if err != nil {
		return nil, err
	}
	return &Grant{
		Leaf: ca.Leaf{
			PublicKey: in.CSR.PublicKey, ID: p.id, DNSNames: dnsNames,
			Organization: profile.Organization, ExtKeyUsage: profile.ExtKeyUsage,
			NotBefore: notBefore, NotAfter: notAfter,
		},
		Profile: profile, EntryID: p.entryID, Replaces: p.replaces,
	}, nil
}

// propose finds what the caller's way of authentication allows.
func propose(in *Input) (proposal, error) {
	c := &in.Caller
	switch {
	case c.Method == MethodInternal:
		return proposal{id: in.Want.ID, profile: in.Want.Profile, anyName: true, trusted: true}, nil
	case c.Role.AtLeast(RoleOperator) && !in.wantedID().IsZero():
		return proposal{
			id: in.wantedID(), profile: in.Want.Profile,
			anyName: true, trusted: c.Role.AtLeast(RoleAdmin),
		}, nil
	case c.Method == MethodPeer && c.Role != RoleNone && !in.wantedID().IsZero():
		return proposal{}, deny(RuleIdentity, "to sign for a SPIFFE ID takes the role %s, and the caller has %s", RoleOperator, c.Role)
	case c.Method == MethodPeer && c.Role != RoleNone:
		// Whoever signs a CSR that somebody else has made must not give the own identity
		// away by forgetting to name one. It is renewed by asking for just that: then the
		// role does not count, and is not here.
		return proposal{}, deny(RuleIdentity, "an administrator names the SPIFFE ID that is to be signed")
	case c.Method == MethodPeer:
		return proposeRenewal(in)
	case c.Method == MethodPreRenew:
		return proposePreRenewal(in)
	case c.Method == MethodJoinToken:
		return proposeToken(in)
	case c.Method == MethodJWT:
		return proposeJWT(in)
	}
	return proposal{}, deny(RuleNoEntry, "the method %q gives no identity", c.Method)
}

// wantedID is the SPIFFE ID that is asked for, in the request or in the CSR.
func (in *Input) wantedID() spiffeid.ID {
	if in.Want.ID.IsZero() {
		return in.CSR.ID
	}
	return in.Want.ID
}

func proposeRenewal(in *Input) (proposal, error) {
	if in.Current == nil {
		return proposal{}, deny(RuleNoEntry, "the presented certificate has no record")
	}
	return proposal{
		id: in.Current.ID, dnsNames: in.Current.DNSNames, profile: in.Current.Profile,
		entryID: in.Current.EntryID, replaces: in.Caller.Serial, trusted: true,
	}, nil
}

func proposePreRenewal(in *Input) (proposal, error) {
	if in.Current == nil || len(in.Entries) != 1 || !in.Entries[0].preRenews(in.Current) {
		return proposal{}, deny(RuleNoEntry, "no entry asks for the renewal of this certificate")
	}
	return proposeRenewal(in)
}

func proposeToken(in *Input) (proposal, error) {
	if len(in.Entries) != 1 || in.Entries[0].id != in.Caller.EntryID || in.Entries[0].method != MethodJoinToken {
		return proposal{}, deny(RuleNoEntry, "the token's entry does not exist")
	}
	return in.Entries[0].proposal(nil)
}

// proposeJWT takes the one entry that matches. When several do, the request must name the
// SPIFFE ID that it wants.
func proposeJWT(in *Input) (proposal, error) {
	var found []proposal
	var unresolved error
	for _, e := range in.Entries {
		if !e.matches(&in.Caller) {
			continue
		}
		p, err := e.proposal(in.Caller.Claims)
		if err != nil {
			unresolved = err
			continue
		}
		found = append(found, p)
	}
	if wanted := in.wantedID(); !wanted.IsZero() && len(found) > 1 {
		found = slices.DeleteFunc(found, func(p proposal) bool { return p.id != wanted })
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return proposal{}, deny(RuleAmbiguousEntry, "%d entries match: name the SPIFFE ID that is wanted", len(found))
	case unresolved != nil:
		return proposal{}, unresolved
	}
	return proposal{}, deny(RuleNoEntry, "no entry matches the token's claims")
}

func (e *Entry) proposal(claims map[string]any) (proposal, error) {
	id, err := e.identity.Resolve(claims)
	if err != nil {
		return proposal{}, err
	}
	return proposal{
		id: id, dnsNames: e.dnsNames, profile: e.profile, entryID: e.id,
		// Only an administrator makes an entry that lies under /pando/ literally; a
		// claim must not lead there.
		trusted: e.identity.Literal(),
	}, nil
}

// checkIdentity judges the SPIFFE ID that would be signed, and the key that it would be bound to.
func checkIdentity(in *Input, p proposal) error {
	switch {
	case p.id.IsZero():
		return deny(RuleIdentity, "the request names no SPIFFE ID")
	case !in.Want.ID.IsZero() && in.Want.ID != p.id:
		return deny(RuleIdentity, "the caller may not have %s", in.Want.ID)
	case !in.CSR.ID.IsZero() && in.CSR.ID != p.id:
		return deny(RuleIdentity, "the CSR names %s, which the caller may not have", in.CSR.ID)
	case !p.id.MemberOf(in.Set.TrustDomain()):
		return deny(RuleTrustDomain, "%s is not in trust domain %s", p.id, in.Set.TrustDomain())
	case p.id.Path() == "":
		return deny(RuleTrustDomain, "%s has no path: it names the trust domain, not a workload", p.id)
	case Reserved(p.id) && !p.trusted:
		return deny(RuleReserved, "%s is reserved for Pando", p.id)
	case in.Set.OwnsKey(in.CSR.KeyHash):
		return deny(RuleCAKey, "the public key belongs to a certificate authority")
	}
	return nil
}

func checkProfile(in *Input, p proposal) (*Profile, error) {
	name := p.profile
	if name == "" {
		name = ProfileWorkload
	}
	profile, ok := in.Profiles[name]
	switch {
	case !ok:
		return nil, deny(RuleProfile, "there is no profile %q", name)
	case in.Want.Profile != "" && in.Want.Profile != name:
		return nil, deny(RuleProfile, "the caller's profile is %q", name)
	case !slices.Contains(profile.KeyAlgorithms, in.CSR.KeyAlgorithm):
		return nil, deny(RuleKeyAlgorithm, "profile %q does not allow %s keys", name, in.CSR.KeyAlgorithm)
	}
	return profile, nil
}

// maxDNSNames bounds the size of a certificate.
const maxDNSNames = 100

// grantDNSNames returns the names that the certificate will carry, each once: those that were
// asked for, or, when none were, all that the caller may have.
func grantDNSNames(in *Input, p proposal, profile *Profile) ([]string, error) {
	if asked := len(in.CSR.DNSNames) + len(in.Want.DNSNames); asked > 2*maxDNSNames { // each may stand in both
		return nil, deny(RuleDNSName, "%d DNS names exceed the limit of %d", asked, maxDNSNames)
	}
	names := slices.Concat(in.CSR.DNSNames, in.Want.DNSNames)
	if len(names) == 0 {
		names = slices.Clone(p.dnsNames)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	for _, name := range names {
		if !p.anyName && !slices.Contains(p.dnsNames, name) {
			return nil, deny(RuleDNSName, "the caller may not have %q", name)
		}
	}
	if err := profile.CheckDNSNames(names); err != nil {
		return nil, err
	}
	return names, nil
}

// maxSkew is how far a verifier's clock may be behind ours and still accept a new
// certificate at once.
const maxSkew = time.Minute

// validity returns whole seconds, exactly the duration apart. NotBefore lies a little in
// the past for verifiers whose clocks are behind: a tenth of the duration, a minute at most.
func validity(in *Input, profile *Profile) (notBefore, notAfter time.Time, err error) {
	duration := in.Want.Duration
	if duration == 0 {
		duration = profile.Duration
	}
	switch {
	case duration < time.Second:
		return notBefore, notAfter, deny(RuleDuration, "%s is under one second", span(duration))
	case duration > profile.MaxDuration:
		return notBefore, notAfter, deny(RuleDuration, "%s exceeds the %s of profile %q", span(duration), span(profile.MaxDuration), profile.Name)
	}
	duration = duration.Truncate(time.Second)
	issuer := in.Set.Issuer().Certificate()
	notBefore = in.Now.Add(-min(maxSkew, duration/10)).UTC().Truncate(time.Second)
	if notBefore.Before(issuer.NotBefore) {
		notBefore = issuer.NotBefore // an issuer of a moment ago is younger than the allowance
	}
	notAfter = notBefore.Add(duration)
	if notAfter.After(issuer.NotAfter) {
		return notBefore, notAfter, deny(RuleDuration, "%s would outlive the issuer, which ends at %s",
			span(duration), issuer.NotAfter.Format(time.RFC3339))
	}
	return notBefore, notAfter, nil
}
