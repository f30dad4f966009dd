package ca

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"
)

// Extensions of a CRL (RFC 5280, section 5.2).
var (
	oidAuthorityKeyID           = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidCRLNumber                = asn1.ObjectIdentifier{2, 5, 29, 20}
	oidIssuingDistributionPoint = asn1.ObjectIdentifier{2, 5, 29, 28}
)

// CRLConfig is what a certificate revocation list is made of.
type CRLConfig struct {
	Issuer *x509.Certificate // the authority whose certificates are revoked; with cRLSign
	Signer crypto.Signer     // its key

	// DistributionPoint is the URL that the certificates which the list is about hold as their
	// CRL distribution point, character by character. Empty: the list has no issuing distribution
	// point, and is complete for its issuer.
	DistributionPoint string

	Number     uint64    // at least 1, and greater than in every earlier list of this distribution point
	ThisUpdate time.Time // whole seconds
	NextUpdate time.Time // whole seconds
	Entries    []CRLEntry
}

// CRLEntry is a revoked certificate. Of several entries with one serial number NewCRL makes an
// error.
type CRLEntry struct {
	Serial    *big.Int  // positive
	RevokedAt time.Time // to the second; not after ThisUpdate
	Reason    int       // CRLReason, RFC 5280 section 5.3.1; 0, unspecified, is left out
}

// NewCRL makes a certificate revocation list, version 2 (RFC 5280, section 5). It sorts
// cfg.Entries by serial number.
//
// Like a certificate of [Authority.Sign], the list has been parsed again before it is returned, agrees
// with cfg in every field, carries no other extension, and bears a signature that was verified
// against the certificate of the issuer.
func NewCRL(cfg CRLConfig) (*x509.RevocationList, error) {
	list, err := newCRL(&cfg)
	if err != nil {
		return nil, fmt.Errorf("new CRL: %w", err)
	}
	return list, nil
}

func newCRL(cfg *CRLConfig) (*x509.RevocationList, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	template, err := cfg.template()
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, cfg.Issuer, cfg.Signer)
	if err != nil {
		return nil, err
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, fmt.Errorf("parse back: %w", err)
	}
	if err := list.CheckSignatureFrom(cfg.Issuer); err != nil {
		return nil, err
	}
	if err := compareCRL(list, template, cfg.Issuer); err != nil {
		return nil, fmt.Errorf("signed list %w", err)
	}
	return list, nil
}

// validate reports why no list can be made of cfg, and sorts its entries.
func (cfg *CRLConfig) validate() error {
	switch {
	case cfg.Issuer == nil:
		return errors.New("issuer is missing")
	case cfg.Signer == nil:
		return errors.New("key of the issuer is not at hand")
	case !cfg.Issuer.IsCA, cfg.Issuer.KeyUsage&x509.KeyUsageCRLSign == 0:
		return errors.New("issuer may not sign CRLs")
	case !samePublicKey(cfg.Issuer.PublicKey, cfg.Signer.Public()):
		return errors.New("key and certificate of the issuer do not match")
	case cfg.Number == 0:
		return errors.New("number is missing")
	case cfg.ThisUpdate.Nanosecond() != 0, cfg.NextUpdate.Nanosecond() != 0:
		return errors.New("times are not in whole seconds")
	case !cfg.ThisUpdate.Before(cfg.NextUpdate):
		return errors.New("period from thisUpdate to nextUpdate is empty")
	}
	if cfg.DistributionPoint != "" {
		if err := validURL(cfg.DistributionPoint); err != nil {
			return err
		}
	}
	return cfg.validateEntries()
}

func (cfg *CRLConfig) validateEntries() error {
	for i := range cfg.Entries {
		switch e := &cfg.Entries[i]; {
		case e.Serial == nil || e.Serial.Sign() <= 0:
			return errors.New("serial number of an entry is not positive")
		case e.RevokedAt.IsZero(), e.RevokedAt.After(cfg.ThisUpdate):
			return fmt.Errorf("certificate %x was revoked at %s, which is not before thisUpdate", e.Serial, rfc3339(e.RevokedAt))
		case !validReason(e.Reason):
			return fmt.Errorf("certificate %x has reason code %d", e.Serial, e.Reason)
		}
	}
	slices.SortFunc(cfg.Entries, func(a, b CRLEntry) int { return a.Serial.Cmp(b.Serial) })
	for i := range cfg.Entries[:max(len(cfg.Entries)-1, 0)] {
		if cfg.Entries[i].Serial.Cmp(cfg.Entries[i+1].Serial) == 0 {
			return fmt.Errorf("certificate %x appears twice", cfg.Entries[i].Serial)
		}
	}
	return nil
}

// validReason reports whether a full list may give this reason: certificateHold (6) and
// removeFromCRL (8) are of a suspension, which there is none of, and 7 is not used.
func validReason(code int) bool {
	return code >= 0 && code <= 10 && code != 6 && code != 7 && code != 8
}

func (cfg *CRLConfig) template() (*x509.RevocationList, error) {
	template := &x509.RevocationList{
		Number:     new(big.Int).SetUint64(cfg.Number),
		ThisUpdate: cfg.ThisUpdate.UTC(),
		NextUpdate: cfg.NextUpdate.UTC(),
	}
	if len(cfg.Entries) > 0 {
		template.RevokedCertificateEntries = make([]x509.RevocationListEntry, len(cfg.Entries))
	}
	for i, e := range cfg.Entries {
		template.RevokedCertificateEntries[i] = x509.RevocationListEntry{
			SerialNumber: e.Serial, RevocationTime: e.RevokedAt.UTC().Truncate(time.Second), ReasonCode: e.Reason,
		}
	}
	if cfg.DistributionPoint != "" {
		value, err := issuingDistributionPoint(cfg.DistributionPoint)
		if err != nil {
			return nil, err
		}
		template.ExtraExtensions = []pkix.Extension{{Id: oidIssuingDistributionPoint, Critical: true, Value: value}}
	}
	return template, nil
}

// issuingDistributionPoint is the value of the extension that names one URL and limits the list
// in no other way (RFC 5280, section 5.2.5).
func issuingDistributionPoint(uri string) ([]byte, error) {
	type name struct {
		FullName []asn1.RawValue `asn1:"optional,tag:0"`
	}
	type point struct {
		DistributionPoint name `asn1:"optional,tag:0"`
	}
	const uniformResourceIdentifier = 6 // of GeneralName, section 4.2.1.6
	value, err := asn1.Marshal(point{name{[]asn1.RawValue{
		{Class: asn1.ClassContextSpecific, Tag: uniformResourceIdentifier, Bytes: []byte(uri)},
	}}})
	if err != nil {
		return nil, fmt.Errorf("issuing distribution point: %w", err)
	}
	return value, nil
}

// compareCRL reports how a signed list differs from the template that it was made of; see
// compare.
func compareCRL(list, template *x509.RevocationList, issuer *x509.Certificate) error {
	switch {
	case !bytes.Equal(list.RawIssuer, issuer.RawSubject):
		return errors.New("has another issuer")
	case !bytes.Equal(list.AuthorityKeyId, issuer.SubjectKeyId):
		return errors.New("has another authority key identifier")
	case list.Number == nil, list.Number.Cmp(template.Number) != 0:
		return errors.New("has another number")
	case !list.ThisUpdate.Equal(template.ThisUpdate), !list.NextUpdate.Equal(template.NextUpdate):
		return errors.New("has another period")
	case len(list.RevokedCertificateEntries) != len(template.RevokedCertificateEntries):
		return errors.New("has another number of entries")
	}
	for i := range list.RevokedCertificateEntries {
		if !sameEntry(&list.RevokedCertificateEntries[i], &template.RevokedCertificateEntries[i]) {
			return fmt.Errorf("has another entry for certificate %x", template.RevokedCertificateEntries[i].SerialNumber)
		}
	}
	return compareCRLExtensions(list, template)
}

func sameEntry(a, b *x509.RevocationListEntry) bool {
	extensions := min(cmp.Compare(b.ReasonCode, 0), 1) // the reason, unless it is unspecified
	return a.SerialNumber.Cmp(b.SerialNumber) == 0 && a.RevocationTime.Equal(b.RevocationTime) &&
		a.ReasonCode == b.ReasonCode && len(a.Extensions) == extensions
}

// compareCRLExtensions leaves no room for an extension that nobody asked for.
func compareCRLExtensions(list, template *x509.RevocationList) error {
	if want := 2 + len(template.ExtraExtensions); len(list.Extensions) != want {
		return fmt.Errorf("has %d extensions, want %d", len(list.Extensions), want)
	}
	for _, e := range list.Extensions {
		switch {
		case e.Id.Equal(oidAuthorityKeyID), e.Id.Equal(oidCRLNumber):
			if e.Critical {
				return fmt.Errorf("has a critical extension %s", e.Id)
			}
		case len(template.ExtraExtensions) != 1, !e.Id.Equal(oidIssuingDistributionPoint), !e.Critical,
			!bytes.Equal(e.Value, template.ExtraExtensions[0].Value):
			return fmt.Errorf("has extension %s, which was not asked for", e.Id)
		}
	}
	return nil
}
