package server

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/store"
)

// Certificate is a record as the doors show it.
type Certificate struct {
	Serial       string
	SPIFFEID     string
	DNSNames     []string
	Profile      string
	Issuer       string
	KeyHash      string // SHA-256 of the SubjectPublicKeyInfo in hex
	KeyAlgorithm string
	IssuedAt     time.Time
	NotBefore    time.Time
	NotAfter     time.Time
	State        string // live, expired or revoked
	RevokedAt    time.Time
	Reason       Reason // why it was revoked; empty when it is not

	Method    string
	Caller    string
	Address   string
	EntryID   string
	Replaces  string // serial; empty when it renews none
	RequestID string

	PEM string
}

// newCertificate shows a record as of now.
func newCertificate(r *store.Record, now time.Time) Certificate {
	c := Certificate{
		Serial: ca.Serial(r.Serial).String(), SPIFFEID: r.SPIFFEID, DNSNames: r.DNSNames,
		Profile: r.Profile, Issuer: r.Issuer,
		KeyHash: hex.EncodeToString(r.KeyHash[:]), KeyAlgorithm: r.KeyAlgorithm,
		IssuedAt: r.IssuedAt, NotBefore: r.NotBefore, NotAfter: r.NotAfter,
		State:  string(store.StateLive),
		Method: r.Method, Caller: r.Caller, Address: r.Address, EntryID: r.EntryID, RequestID: r.RequestID,
		PEM: encodePEM(r.Certificate),
	}
	if !r.Replaces.IsZero() {
		c.Replaces = ca.Serial(r.Replaces).String()
	}
	switch {
	case r.Revoked != nil:
		c.State, c.RevokedAt, c.Reason = string(store.StateRevoked), r.Revoked.RevokedAt, reasonOf(r.Revoked.Reason)
	case !now.Before(r.NotAfter):
		c.State = string(store.StateExpired)
	}
	return c
}

// Certificate looks one certificate up.
func (s *Service) Certificate(ctx context.Context, caller policy.Caller, serial string) (*Certificate, error) {
	now := time.Now()
	if err := s.authorize(ctx, caller, OpGetCertificate); err != nil {
		return nil, err
	}
	parsed, err := parseSerial(serial)
	if err != nil {
		return nil, err
	}
	record, err := s.records.Record(ctx, store.Serial(parsed))
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", parsed, err)
	}
	c := newCertificate(record, now)
	return &c, nil
}

func parseSerial(text string) (ca.Serial, error) {
	serial, err := ca.ParseSerial(padSerial(text))
	if err != nil { // it speaks of the padded text, which nobody typed
		return serial, invalid("serial: is not a number of at most %d hex digits", 2*len(ca.Serial{}))
	}
	return serial, nil
}

// padSerial gives back the leading zeros that openssl and most other tools leave out of a
// serial number, which is a number to them.
func padSerial(text string) string {
	const digits = 2 * len(ca.Serial{})
	if len(text) == 0 || len(text) >= digits {
		return strings.ToLower(text)
	}
	return strings.Repeat("0", digits-len(text)) + strings.ToLower(text)
}

// CertificateFilter selects certificates. Zero fields select everything.
type CertificateFilter struct {
	SPIFFEID      string
	Issuer        string
	State         string // live, expired or revoked
	ExpiresBefore time.Time
	PageSize      int // 0: 100; at most 1000
	PageToken     string
}

// CertificatePage is a part of a listing, latest NotAfter first.
type CertificatePage struct {
	Certificates  []Certificate
	NextPageToken string // empty on the last page
}

// Certificates lists certificates.
func (s *Service) Certificates(ctx context.Context, caller policy.Caller, f CertificateFilter) (*CertificatePage, error) {
	now := time.Now()
	if err := s.authorize(ctx, caller, OpListCertificates); err != nil {
		return nil, err
	}
	if err := checkTexts(f.SPIFFEID, f.Issuer); err != nil {
		return nil, err
	}
	limit, err := pageSize(f.PageSize)
	if err != nil {
		return nil, err
	}
	state := store.State(f.State)
	switch state {
	case "", store.StateLive, store.StateExpired, store.StateRevoked:
	default:
		return nil, invalid("state: %q is none of live, expired, revoked", f.State)
	}
	after, err := parseCursor(f.PageToken)
	if err != nil {
		return nil, err
	}
	records, err := s.records.Records(ctx, store.RecordFilter{
		SPIFFEID: f.SPIFFEID, Issuer: f.Issuer, State: state, ExpiresBefore: f.ExpiresBefore,
		Now: now, After: after, Limit: limit + 1,
	})
	if err != nil {
		return nil, fmt.Errorf("list certificates: %w", err)
	}
	page := &CertificatePage{}
	if len(records) > limit {
		records = records[:limit]
		page.NextPageToken = cursorText(records[limit-1])
	}
	for i := range records {
		page.Certificates = append(page.Certificates, newCertificate(&records[i], now))
	}
	return page, nil
}
