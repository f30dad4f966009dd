package server

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/store"
)

// RevokeCertificate withdraws one certificate. Once it returns, no replica renews the
// certificate any more, and every replica tells of it within a second. A certificate that is
// revoked already stays as it is, and that is no error: the answer says since when. That of an
// identity under /pando/ takes an administrator.
func (s *Service) RevokeCertificate(ctx context.Context, caller policy.Caller, serial string, reason Reason) (*Certificate, error) {
	now := time.Now()
	if err := s.authorize(ctx, caller, OpRevokeCertificate); err != nil {
		return nil, err
	}
	parsed, err := parseSerial(serial)
	if err != nil {
		return nil, err
	}
	if reason, err = checkReason(reason); err != nil {
		return nil, err
	}
	if authority, ok := s.Set().AuthorityBySerial(parsed); ok {
		return nil, ofAuthority(authority, "serial: that of")
	}
	record, err := s.records.Record(ctx, store.Serial(parsed))
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", parsed, err)
	}
	if err := mayRevoke(caller, record.SPIFFEID); err != nil {
		return nil, err
	}
	audit := store.Audit{
		At: now, Actor: caller.Subject, Action: "certificate.revoke", Target: parsed.String(),
		Detail: map[string]string{"spiffe_id": record.SPIFFEID, "reason": string(reason)},
	}
	if err := s.revoke(ctx, parsed, reason, audit); err != nil {
		return nil, fmt.Errorf("revoke: %w", err)
	}
	if record.Revoked == nil {
		s.observer.Revoked(reason, 1)
		if record, err = s.records.Record(ctx, store.Serial(parsed)); err != nil {
			return nil, fmt.Errorf("certificate %s: %w", parsed, err)
		}
	}
	c := newCertificate(record, now)
	return &c, nil
}

// ofAuthority names the command that takes an authority out of use, to who tried another way.
func ofAuthority(a *ca.Authority, what string) error {
	return invalid("%s %s %s: pando authority taint %s replaces it and all that it has signed, and pando authority revoke %s withdraws it then",
		what, a.Role(), a.ID(), a.ID(), a.ID())
}

// mayRevoke refuses what belongs to Pando itself to who is no administrator. A recorded identity
// that cannot be parsed is taken for one.
func mayRevoke(caller policy.Caller, spiffeID string) error {
	id, err := spiffeid.Parse(spiffeID)
	if (err != nil || policy.Reserved(id)) && !caller.Role.AtLeast(policy.RoleAdmin) {
		return permissionDenied("a certificate of an identity under /pando/ requires the role %s", policy.RoleAdmin)
	}
	return nil
}

// RevocationSpec says which certificates to revoke, by what they have in common: exactly one of
// SPIFFEID, Issuer and KeyHash is set.
type RevocationSpec struct {
	SPIFFEID string
	Issuer   string // authority ID
	KeyHash  string // SHA-256 of the SubjectPublicKeyInfo, as 64 hex digits; the key is blocked, too
	Reason   Reason // "": unspecified
	DryRun   bool   // change nothing: count
}

// RevocationResult is what a revocation has done, or would do.
type RevocationResult struct {
	Certificates int  // that were revoked, or would be
	Identities   int  // SPIFFE IDs in them; of a dry run only
	More         bool // the time for one request is over: ask again, to go on
}

// revokeBudget is how long one request goes on with parts of a large revocation: well below the
// timeout of requests, of which one part uses a second at the very most.
const revokeBudget = 20 * time.Second

// Revoke withdraws the unexpired certificates of a SPIFFE ID, an issuer or a key. What is
// revoked already stays as it is. An issuer or a key takes an administrator, as does an
// identity under /pando/. It may be interrupted, and asked again to go on.
func (s *Service) Revoke(ctx context.Context, caller policy.Caller, spec RevocationSpec) (*RevocationResult, error) {
	now := time.Now()
	if err := s.authorize(ctx, caller, OpCreateRevocation); err != nil {
		return nil, err
	}
	reason, err := checkReason(spec.Reason)
	if err != nil {
		return nil, err
	}
	selector, target, err := s.selector(caller, spec)
	if err != nil {
		return nil, err
	}
	if spec.DryRun {
		n, err := s.revocations.CountSelected(ctx, selector, now)
		if err != nil {
			return nil, fmt.Errorf("count what would be revoked: %w", err)
		}
		return &RevocationResult{Certificates: n.Certificates, Identities: n.Identities}, nil
	}
	return s.revokeSelected(ctx, reason, store.BulkRevocation{
		Selector: selector, At: now, Reason: reason.number(),
		Audit: store.Audit{
			At: now, Actor: caller.Subject, Action: "revocation.create", Target: target,
			Detail: map[string]string{"reason": string(reason)},
		},
	})
}

// revoke makes the revocation of one certificate durable.
func (s *Service) revoke(ctx context.Context, serial ca.Serial, reason Reason, audit store.Audit) error {
	ctx, step := BeginStep(ctx, "store")
	err := s.revocations.Revoke(ctx, store.Serial(serial), audit.At, reason.number(), audit)
	step.End(err)
	return err
}

// revokeSelected revokes part after part, until none is left or the time is over.
func (s *Service) revokeSelected(ctx context.Context, reason Reason, r store.BulkRevocation) (result *RevocationResult, err error) {
	ctx, step := BeginStep(ctx, "store")
	defer func() { step.End(err) }()
	result = &RevocationResult{}
	for {
		n, next, err := s.revocations.RevokeSelected(ctx, r)
		switch {
		case errors.Is(err, store.ErrIssuerActive):
			return nil, issuerActive(r.Issuer, err)
		case err != nil:
			return nil, fmt.Errorf("revoke: %w", err)
		}
		result.Certificates += n
		if n > 0 {
			s.observer.Revoked(reason, n)
		}
		if next.IsZero() {
			return result, nil
		}
		r.After = next
		if time.Since(r.At) > revokeBudget {
			result.More = true
			return result, nil
		}
	}
}

// selector checks which certificates are asked for, and whether the caller may revoke them. The
// target is for the audit row.
func (s *Service) selector(caller policy.Caller, spec RevocationSpec) (_ store.Selector, target string, err error) {
	given := 0
	for _, text := range []string{spec.SPIFFEID, spec.Issuer, spec.KeyHash} {
		if text != "" {
			given++
		}
	}
	switch {
	case given != 1:
		return store.Selector{}, "", invalid("exactly one of spiffe_id, issuer and key_hash is needed")
	case spec.SPIFFEID != "":
		return s.selectIdentity(caller, spec.SPIFFEID)
	case !caller.Role.AtLeast(policy.RoleAdmin):
		return store.Selector{}, "", permissionDenied("revoking by issuer or key requires the role %s", policy.RoleAdmin)
	case spec.Issuer != "":
		return s.selectIssuer(spec.Issuer)
	}
	return s.selectKey(spec.KeyHash)
}

func (s *Service) selectIdentity(caller policy.Caller, text string) (store.Selector, string, error) {
	id, err := spiffeid.Parse(text)
	switch {
	case err != nil:
		return store.Selector{}, "", invalid("spiffe_id: %v", err)
	case !id.MemberOf(s.Set().TrustDomain()) || id.Path() == "":
		return store.Selector{}, "", invalid("spiffe_id: %s is no workload of %s", id, s.Set().TrustDomain())
	}
	return store.Selector{SPIFFEID: id.String()}, id.String(), mayRevoke(caller, id.String())
}

func (s *Service) selectIssuer(id string) (store.Selector, string, error) {
	authority, ok := s.Set().Authority(id)
	switch {
	case !ok:
		return store.Selector{}, "", notFound("there is no such authority")
	case authority.Role() == ca.RoleRoot:
		return store.Selector{}, "", invalid("issuer: %s is a root, which signs no leaves: name its intermediates", id)
	case authority.State() == ca.StateActive:
		return store.Selector{}, "", issuerActive(id, nil)
	}
	return store.Selector{Issuer: id}, "issuer " + id, nil
}

// issuerActive refuses to revoke what an issuer has signed while it goes on signing.
func issuerActive(id string, err error) error {
	return &Error{
		Kind: KindConflict, Code: "conflict", Err: err,
		Message: fmt.Sprintf("issuer %s is active and would go on signing: pando authority taint %s replaces it first", id, id),
	}
}

func (s *Service) selectKey(text string) (store.Selector, string, error) {
	var hash ca.KeyHash
	if len(text) != hex.EncodedLen(len(hash)) {
		return store.Selector{}, "", invalid("key_hash: %d characters, want %d hex digits", len(text), hex.EncodedLen(len(hash)))
	}
	if _, err := hex.Decode(hash[:], []byte(text)); err != nil || hash == (ca.KeyHash{}) {
		return store.Selector{}, "", invalid("key_hash: not the SHA-256 of a public key in hex")
	}
	if authority, ok := s.Set().AuthorityByKey(hash); ok {
		return store.Selector{}, "", ofAuthority(authority, "key_hash: that of")
	}
	return store.Selector{KeyHash: hash}, "key " + hex.EncodeToString(hash[:]), nil
}
