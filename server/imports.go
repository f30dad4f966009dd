package server

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/policy"
)

// ErrImportRefused says that a certificate cannot be adopted. It is wrapped in a sentence that
// says why and may be shown.
var ErrImportRefused = errors.New("cannot be adopted")

// Imports lets somebody else sign intermediates: the holder of a root whose key is kept elsewhere.
type Imports interface {
	// Request returns the request that waits for its certificate, and makes one if there is
	// none, or if renew gives up the one that there is. by is for the audit.
	Request(ctx context.Context, renew bool, by string, now time.Time) (*AuthorityRequest, error)
	// Import adopts an intermediate and its root, nil when that is known, and returns the IDs
	// of the authorities that it added. It wraps ErrImportRefused.
	Import(ctx context.Context, intermediate, root *x509.Certificate, by string, now time.Time) ([]string, error)
}

// AuthorityRequest is a key of an intermediate that waits for its certificate.
type AuthorityRequest struct {
	Role      ca.Role
	CSR       []byte // DER
	CreatedAt time.Time
	CreatedBy string
}

// PEM is the request in PEM.
func (r *AuthorityRequest) PEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: r.CSR}))
}

// RequestAuthority returns the request for an intermediate that waits for its certificate. It
// makes a key and a request if there is none, or if renew says so.
func (s *Service) RequestAuthority(ctx context.Context, caller policy.Caller, renew bool) (*AuthorityRequest, error) {
	if err := s.authorize(ctx, caller, OpRequestAuthority); err != nil {
		return nil, err
	}
	if s.imports == nil {
		return nil, notFound("this server makes no requests for authorities")
	}
	return s.imports.Request(ctx, renew, caller.Subject, time.Now())
}

// ImportAuthority adopts an intermediate that was signed for the request: chain is its
// certificate in PEM, and behind it that of its root, which may be left out when it is an
// authority already. It tells of the authorities that were added.
func (s *Service) ImportAuthority(ctx context.Context, caller policy.Caller, chain string) ([]AuthorityStatus, error) {
	if err := s.authorize(ctx, caller, OpImportAuthority); err != nil {
		return nil, err
	}
	if s.imports == nil {
		return nil, notFound("this server imports no authorities")
	}
	intermediate, root, err := ParseImport(chain)
	if err != nil {
		return nil, invalid("chain: %v", err)
	}
	now := time.Now()
	added, err := s.imports.Import(ctx, intermediate, root, caller.Subject, now)
	if errors.Is(err, ErrImportRefused) {
		return nil, &Error{Kind: KindInvalid, Code: "invalid_request", Message: err.Error(), Err: err}
	}
	if err != nil {
		return nil, err
	}
	return s.imported(ctx, added, now)
}

// imported tells of the authorities with these IDs.
func (s *Service) imported(ctx context.Context, ids []string, now time.Time) ([]AuthorityStatus, error) {
	all, err := s.authorities(ctx, now)
	if err != nil {
		return nil, err
	}
	var found []AuthorityStatus
	for _, id := range ids {
		for i := range all {
			if all[i].ID == id {
				found = append(found, all[i])
			}
		}
	}
	return found, nil
}

// ParseImport reads the certificates of an import: one or two PEM blocks and nothing else, the
// intermediate first. root is nil when it is left out.
func ParseImport(chain string) (intermediate, root *x509.Certificate, err error) {
	var certs []*x509.Certificate
	for rest := []byte(strings.TrimSpace(chain)); len(rest) > 0; {
		if !strings.HasPrefix(string(rest), "-----BEGIN ") {
			return nil, nil, errors.New("holds something else than PEM blocks")
		}
		block, after := pem.Decode(rest)
		switch {
		case block == nil:
			return nil, nil, errors.New("a PEM block is damaged")
		case block.Type != "CERTIFICATE" || len(block.Headers) > 0:
			return nil, nil, errors.New("holds a PEM block that is not a certificate")
		case len(certs) == 2:
			return nil, nil, errors.New("holds more than two certificates: an intermediate and its root are wanted")
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, nil, errors.New("a certificate is malformed")
		}
		certs = append(certs, cert)
		rest = []byte(strings.TrimSpace(string(after)))
	}
	switch len(certs) {
	case 0:
		return nil, nil, errors.New("holds no certificate")
	case 1:
		return certs[0], nil, nil
	}
	return certs[0], certs[1], nil
}
