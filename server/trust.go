package server

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	gospiffeid "github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/pando-ca/pando/ca"
)

// Bundle is the trust bundle: the roots that verifiers must trust now.
type Bundle struct {
	TrustDomain string
	Sequence    uint64        // changes whenever the contents change
	RefreshHint time.Duration // how often to look for a new one
	PEM         string        // the roots
	Document    []byte        // the SPIFFE bundle document (JWK set), SPIFFE Trust Domain and Bundle section 4
	ETag        string        // quoted, for Document and PEM alike
}

// Bundle returns the current trust bundle. It is shared: do not change it.
func (s *Service) Bundle() *Bundle { return s.trust.Load().bundle }

// IssuerCertificate returns the DER certificate of an authority of the current generation,
// whatever its state: a verifier that follows an old certificate judges for itself. It is what
// the AIA caIssuers URL points to (RFC 5280 section 4.2.2.1).
func (s *Service) IssuerCertificate(id string) ([]byte, bool) {
	authority, ok := s.trust.Load().set.Authority(id)
	if !ok {
		return nil, false
	}
	return authority.Certificate().Raw, true
}

// trust is one generation as requests need it: the authorities, and everything that can be
// derived from them once instead of per request. Immutable.
type trust struct {
	set    *ca.Set
	bundle *Bundle
	above  map[string]string     // authority ID → PEM of the chain above its leaves
	crls   map[string][]*crlSlot // by authority ID and shard
	next   chan struct{}         // closed once another one is current
}

// newTrust derives from set what requests need. The CRLs in memory are those of before, which may
// be nil.
func newTrust(set *ca.Set, before *trust) (*trust, error) {
	bundle, err := newBundle(set)
	if err != nil {
		return nil, err
	}
	t := &trust{set: set, bundle: bundle, above: make(map[string]string), crls: make(map[string][]*crlSlot), next: make(chan struct{})}
	for _, a := range set.Authorities() {
		var chain strings.Builder
		for _, der := range a.Chain() {
			chain.WriteString(encodePEM(der))
		}
		t.above[a.ID()] = chain.String()
		if before != nil && len(before.crls[a.ID()]) == a.CRLShards() {
			t.crls[a.ID()] = before.crls[a.ID()]
		} else {
			t.crls[a.ID()] = newShelf(a.ID(), a.CRLShards())
		}
	}
	return t, nil
}

func newBundle(set *ca.Set) (*Bundle, error) {
	td, err := gospiffeid.TrustDomainFromString(set.TrustDomain().String())
	if err != nil {
		return nil, fmt.Errorf("trust bundle: %w", err)
	}
	document := spiffebundle.New(td)
	document.SetSequenceNumber(set.Sequence())
	document.SetRefreshHint(set.RefreshHint())
	b := &Bundle{TrustDomain: set.TrustDomain().String(), Sequence: set.Sequence(), RefreshHint: set.RefreshHint()}
	for _, root := range set.Roots() {
		document.AddX509Authority(root)
		b.PEM += encodePEM(root.Raw)
	}
	if b.Document, err = document.Marshal(); err != nil {
		return nil, fmt.Errorf("trust bundle: %w", err)
	}
	digest := sha256.Sum256(b.Document)
	b.ETag = `"` + hex.EncodeToString(digest[:16]) + `"`
	return b, nil
}

func encodePEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
