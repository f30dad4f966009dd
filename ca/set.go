package ca

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pando-ca/pando/ca/spiffeid"
)

// SetConfig is one generation of authorities, as it is stored. NewSet takes it over: do not
// modify it, nor what it points to, afterwards.
type SetConfig struct {
	TrustDomain spiffeid.TrustDomain
	Generation  uint64 // the number of the generation, at least 1
	Sequence    uint64 // of the trust bundle
	PublishedAt time.Time
	RefreshHint time.Duration
	WindowKey   []byte // places renewal windows; in the clear, at least 16 octets
	URLs        URLs
	Authorities []AuthorityConfig
	Incidents   []Incident // the open ones
}

// AuthorityConfig is one authority of a generation.
type AuthorityConfig struct {
	ID          string // see AuthorityID
	Role        Role
	State       State
	ParentID    string        // "" for a root
	Certificate []byte        // DER
	Signer      crypto.Signer // nil when the key is not at hand; required for the active intermediate
	CRLShards   int           // of the CRL of what it signs; 0 means 1, and a root has 1

	// Roots only, both or neither: the root's key certified by an older root; see CrossSign.
	CrossParentID    string
	CrossCertificate []byte // DER
}

// minWindowKey keeps a forgotten or truncated key from making windows predictable.
const minWindowKey = 16

// Set is an immutable snapshot of all authorities: one generation. What its methods return
// is shared and must not be modified.
type Set struct {
	trustDomain spiffeid.TrustDomain
	generation  uint64
	sequence    uint64
	publishedAt time.Time
	refreshHint time.Duration
	windowKey   []byte
	incidents   []Incident

	authorities []*Authority
	byID        map[string]*Authority
	keys        map[KeyHash]bool
	issuer      *Authority
	roots       []*x509.Certificate // published
	pool        *x509.CertPool      // of roots
}

// NewSet verifies a generation and makes a snapshot of it. It refuses a set in which:
// a certificate cannot act as an authority of the trust domain; a key does not belong to its
// certificate; an intermediate was not signed by its parent or outlives it; a
// cross-certificate is for another root or was not signed by its parent; an incident has no
// rate, or ends before it begins; there is not exactly
// one active intermediate with its key at hand, valid now, whose root is published and valid
// now.
func NewSet(cfg SetConfig, now time.Time) (*Set, error) {
	switch {
	case cfg.TrustDomain.IsZero():
		return nil, errors.New("new set: trust domain is missing")
	case len(cfg.WindowKey) < minWindowKey:
		return nil, fmt.Errorf("new set: window key has %d octets, want at least %d", len(cfg.WindowKey), minWindowKey)
	}
	if err := cfg.URLs.Validate(); err != nil {
		return nil, fmt.Errorf("new set: %w", err)
	}
	for _, i := range cfg.Incidents {
		if err := i.validate(); err != nil {
			return nil, fmt.Errorf("new set: incident %q: %w", i.ID, err)
		}
	}
	s := &Set{
		trustDomain: cfg.TrustDomain,
		generation:  cfg.Generation,
		sequence:    cfg.Sequence,
		publishedAt: cfg.PublishedAt,
		refreshHint: cfg.RefreshHint,
		windowKey:   cfg.WindowKey,
		incidents:   cfg.Incidents,
		byID:        make(map[string]*Authority, len(cfg.Authorities)),
		keys:        make(map[KeyHash]bool, len(cfg.Authorities)),
		pool:        x509.NewCertPool(),
	}
	for _, ac := range cfg.Authorities {
		if err := s.add(ac, cfg.URLs); err != nil {
			return nil, fmt.Errorf("new set: authority %q: %w", ac.ID, err)
		}
	}
	for _, a := range s.authorities {
		if err := s.link(a); err != nil {
			return nil, fmt.Errorf("new set: authority %q: %w", a.id, err)
		}
	}
	if err := s.elect(now); err != nil {
		return nil, fmt.Errorf("new set: %w", err)
	}
	return s, nil
}

// add checks an authority by itself and takes it in.
func (s *Set) add(cfg AuthorityConfig, urls URLs) error {
	cert, err := x509.ParseCertificate(cfg.Certificate)
	if err != nil {
		return err
	}
	if err := checkAuthority(cert, s.trustDomain); err != nil {
		return fmt.Errorf("certificate %w", err)
	}
	switch {
	case cfg.ID != AuthorityID(cert):
		return fmt.Errorf("certificate is that of authority %q", AuthorityID(cert))
	case s.byID[cfg.ID] != nil:
		return errors.New("appears twice")
	case !knownState(cfg.State):
		return fmt.Errorf("state %q is unknown", cfg.State)
	case cfg.Signer != nil && !samePublicKey(cert.PublicKey, cfg.Signer.Public()):
		return errors.New("key and certificate do not match")
	}
	a := &Authority{
		id: cfg.ID, role: cfg.Role, state: cfg.State, parentID: cfg.ParentID,
		cert: cert, signer: cfg.Signer, trustDomain: s.trustDomain,
	}
	if a.keyHash, err = HashPublicKey(cert.PublicKey); err != nil {
		return err
	}
	a.crossParentID = cfg.CrossParentID
	if len(cfg.CrossCertificate) > 0 {
		if a.cross, err = x509.ParseCertificate(cfg.CrossCertificate); err != nil {
			return fmt.Errorf("cross-certificate: %w", err)
		}
	}
	if err := urls.ValidateShards(cfg.CRLShards); err != nil {
		return err
	}
	a.issuerURLs, a.crlURLs = urls.expand(a.id, cfg.CRLShards)
	s.authorities = append(s.authorities, a)
	s.byID[a.id] = a
	s.keys[a.keyHash] = true
	return nil
}

func knownState(state State) bool {
	switch state {
	case StatePrepared, StateActive, StateRetiring, StateRetired, StateTainted, StateRevoked:
		return true
	}
	return false
}

// link checks an authority against its parent, and prepares what every leaf needs.
func (s *Set) link(a *Authority) error {
	switch a.role {
	case RoleRoot:
		return s.linkRoot(a)
	case RoleIntermediate:
		return s.linkIntermediate(a)
	}
	return fmt.Errorf("role %q is unknown", a.role)
}

func (s *Set) linkRoot(a *Authority) error {
	switch {
	case a.parentID != "":
		return fmt.Errorf("root has a parent, %q", a.parentID)
	case a.CRLShards() > 1:
		return errors.New("CRL of a root has more than one shard")
	}
	if err := checkSelfSigned(a.cert); err != nil {
		return fmt.Errorf("root %w", err)
	}
	if err := s.linkCross(a); err != nil {
		return err
	}
	if a.state.Published() {
		s.roots = append(s.roots, a.cert)
		s.pool.AddCert(a.cert)
	}
	return nil
}

func (s *Set) linkIntermediate(a *Authority) error {
	if a.crossParentID != "" || a.cross != nil {
		return errors.New("intermediate has a cross-certificate")
	}
	parent := s.byID[a.parentID]
	if parent == nil || parent.role != RoleRoot {
		return fmt.Errorf("parent %q is not a root of this set", a.parentID)
	}
	if err := a.cert.CheckSignatureFrom(parent.cert); err != nil {
		return fmt.Errorf("was not signed by its parent %s: %w", parent.id, err)
	}
	if a.cert.NotBefore.Before(parent.cert.NotBefore) || a.cert.NotAfter.After(parent.cert.NotAfter) {
		return fmt.Errorf("validity period does not lie within that of its parent %s", parent.id)
	}
	if parent.cert.MaxPathLenZero {
		return fmt.Errorf("parent %s may sign leaves only", parent.id)
	}
	a.parent = parent
	a.chain = append([][]byte{a.cert.Raw}, s.crossChain(parent)...)
	if !selfIssued(parent.cert) {
		a.chain = append(a.chain, parent.cert.Raw) // for verifiers that know the root above it alone
	}
	return nil
}

// selfIssued reports whether a root names itself as its issuer. One that does not is an anchor:
// whoever is above it is not part of the set, and vouches for nothing in it.
func selfIssued(root *x509.Certificate) bool { return bytes.Equal(root.RawIssuer, root.RawSubject) }

// checkSelfSigned reports why a root that names itself as its issuer is not signed by itself.
func checkSelfSigned(root *x509.Certificate) error {
	if !selfIssued(root) {
		return nil
	}
	if err := root.CheckSignatureFrom(root); err != nil {
		return fmt.Errorf("is not self-signed: %w", err)
	}
	return nil
}

// elect finds the issuer and verifies its whole chain, so that no leaf has to.
func (s *Set) elect(now time.Time) error {
	for _, a := range s.authorities {
		if a.role != RoleIntermediate || a.state != StateActive {
			continue
		}
		if s.issuer != nil {
			return fmt.Errorf("two active intermediates, %s and %s", s.issuer.id, a.id)
		}
		s.issuer = a
	}
	switch a := s.issuer; {
	case a == nil:
		return errors.New("no active intermediate")
	case a.signer == nil:
		return fmt.Errorf("key of active intermediate %s is not at hand", a.id)
	case !a.parent.state.Published():
		return fmt.Errorf("root %s of active intermediate %s is %s, not published", a.parentID, a.id, a.parent.state)
	}
	_, err := s.issuer.cert.Verify(x509.VerifyOptions{
		Roots:       s.pool,
		CurrentTime: now,
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return fmt.Errorf("active intermediate %s: %w", s.issuer.id, err)
	}
	return nil
}

// checkAuthority reports why cert cannot be an authority of td (X509-SVID, sections 3.2 and
// 4; RFC 5280, section 6.1.4).
func checkAuthority(cert *x509.Certificate, td spiffeid.TrustDomain) error {
	if _, err := KeyAlgorithmOf(cert.PublicKey); err != nil {
		return fmt.Errorf("has an unsuitable key: %w", err)
	}
	id, err := spiffeid.FromCertificate(cert)
	switch {
	case err != nil:
		return fmt.Errorf("has no SPIFFE ID: %w", err)
	case id != td.ID():
		return fmt.Errorf("has SPIFFE ID %s, want %s", id, td.ID())
	case !cert.BasicConstraintsValid || !cert.IsCA:
		return errors.New("is not a CA certificate")
	case cert.KeyUsage&x509.KeyUsageCertSign == 0:
		return errors.New("lacks key usage keyCertSign")
	case cert.KeyUsage&x509.KeyUsageCRLSign == 0:
		return errors.New("lacks key usage cRLSign")
	case len(cert.SubjectKeyId) == 0:
		return errors.New("lacks a subject key identifier")
	case len(cert.ExtKeyUsage) > 0, len(cert.UnknownExtKeyUsage) > 0, hasNameConstraints(cert):
		return errors.New("constrains its leaves by extended key usage or name") // Sign and VerifyPeer do not look there
	case len(cert.UnhandledCriticalExtensions) > 0:
		return fmt.Errorf("has an unknown critical extension, %s", cert.UnhandledCriticalExtensions[0])
	}
	return nil
}

func hasNameConstraints(cert *x509.Certificate) bool {
	return slices.ContainsFunc(cert.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidNameConstraints) })
}

// Issuer returns the one active intermediate, which signs all leaves.
func (s *Set) Issuer() *Authority { return s.issuer }

// Authority returns the authority with this ID, of any role and state.
func (s *Set) Authority(id string) (*Authority, bool) {
	a, ok := s.byID[id]
	return a, ok
}

// Authorities returns all authorities in the order of the configuration.
func (s *Set) Authorities() []*Authority { return s.authorities }

// Roots returns the certificates of the published roots: the trust bundle.
func (s *Set) Roots() []*x509.Certificate { return s.roots }

// RootPool returns the published roots as a pool.
func (s *Set) RootPool() *x509.CertPool { return s.pool }

// TrustDomain returns the trust domain of all authorities.
func (s *Set) TrustDomain() spiffeid.TrustDomain { return s.trustDomain }

// Generation returns the number of the generation.
func (s *Set) Generation() uint64 { return s.generation }

// Sequence returns the sequence of the trust bundle, which changes whenever the bundle does.
func (s *Set) Sequence() uint64 { return s.sequence }

// PublishedAt returns when the generation was published.
func (s *Set) PublishedAt() time.Time { return s.publishedAt }

// RefreshHint returns how often consumers should ask for the trust bundle.
func (s *Set) RefreshHint() time.Duration { return s.refreshHint }

// OwnsKey reports whether the key belongs to an authority of the set, in whatever state: no
// leaf may have it.
func (s *Set) OwnsKey(key KeyHash) bool { return s.keys[key] }

// Covers returns an error unless the issuer can sign, at now, a leaf that lives for d.
func (s *Set) Covers(d time.Duration, now time.Time) error {
	cert := s.issuer.cert
	switch {
	case d <= 0:
		return fmt.Errorf("leaf lifetime %s is not positive", d)
	case now.Before(cert.NotBefore):
		return fmt.Errorf("issuer %s is not valid before %s", s.issuer.id, rfc3339(cert.NotBefore))
	case now.Add(d).After(cert.NotAfter):
		return fmt.Errorf("issuer %s ends at %s and cannot cover a leaf of %s", s.issuer.id, rfc3339(cert.NotAfter), d)
	}
	return nil
}
