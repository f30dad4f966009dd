package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/store"
)

// Request asks for one certificate.
type Request struct {
	CSR       []byte // PEM or DER
	Want      policy.Want
	RequestID string // for the record and the log
}

// Issue answers a CSR with a certificate whose record is durable. A workload gets the
// identity that its credential gives it; an administrator names one. Errors are those of
// [AsError].
func (s *Service) Issue(ctx context.Context, caller policy.Caller, req Request) (*Issued, error) {
	now := time.Now()
	if err := s.authorize(ctx, caller, OpSign); err != nil {
		return nil, err
	}
	if err := s.limit(caller, 1, now); err != nil {
		return nil, err
	}
	if err := s.pace(ctx, caller, now); err != nil { // a workload may renew here, too
		return nil, err
	}
	return s.issue(ctx, caller, req, now)
}

// issue is the way from a CSR to a certificate. Each step depends on the one before it.
func (s *Service) issue(ctx context.Context, caller policy.Caller, req Request, now time.Time) (*Issued, error) {
	csr, err := ca.ParseCSR(req.CSR)
	if err != nil {
		return nil, err
	}
	if !caller.Spent.IsZero() {
		return s.repeat(ctx, caller, csr, now)
	}
	a := application{caller: caller, csr: csr, request: req, now: now}
	for range maxGenerations {
		trust := s.trust.Load() // one snapshot for the whole try
		issued, err := s.issueUnder(ctx, trust, a)
		if !errors.Is(err, store.ErrIssuerInactive) {
			return issued, err
		}
		// Nothing was written, and no credential is spent.
		if err := s.catchUp(ctx, trust.set.Generation()); err != nil {
			return nil, fmt.Errorf("insert issued: %w", err)
		}
	}
	return nil, fmt.Errorf("insert issued: %w", store.ErrIssuerInactive)
}

// maxGenerations bounds how often a request is signed anew because the issuer was replaced
// meanwhile. Rotations are far further apart than a request takes.
const maxGenerations = 3

// application is a request whose CSR has been parsed, and whose it is.
type application struct {
	caller  policy.Caller
	csr     *ca.CSR
	request Request
	now     time.Time
}

// issueUnder is issue under one generation, after what does not depend on it.
func (s *Service) issueUnder(ctx context.Context, trust *trust, a application) (*Issued, error) {
	grant, err := s.decide(ctx, policy.Input{Caller: a.caller, CSR: a.csr, Want: a.request.Want, Set: trust.set, Now: a.now})
	if err != nil {
		return nil, err
	}
	for range maxSerialDraws {
		cert, err := s.sign(ctx, trust, grant)
		if err != nil {
			return nil, err
		}
		issuance := newIssuance(a.caller, a.csr, grant, cert, a.now)
		issuance.RequestID = a.request.RequestID
		// The commit point. If we crash before it nothing has left; if we crash after it
		// the record has no holder, and the caller asks again.
		err = s.insert(ctx, issuance, a.now)
		switch {
		case err == nil:
			return s.released(trust, issuance, cert, grant), nil
		case errors.Is(err, store.ErrSerialTaken):
			continue
		case errors.Is(err, store.ErrTokenUsed):
			return s.lostRace(ctx, a.caller, a.csr, a.now)
		}
		return nil, fmt.Errorf("insert issued: %w", err)
	}
	return nil, fmt.Errorf("no free serial number in %d draws: the random source is broken", maxSerialDraws)
}

// maxSerialDraws bounds the search for a free serial number. With 120 random bits the
// second draw is never needed unless the random source is broken.
const maxSerialDraws = 3

// decide adds what the store knows of the caller, and asks policy. For a JWT that no known entry
// matches it looks once whether the entries have changed: another replica may have made one a
// moment ago.
func (s *Service) decide(ctx context.Context, in policy.Input) (grant *policy.Grant, err error) {
	ctx, step := BeginStep(ctx, "policy")
	defer func() { step.End(err) }()
	in.Profiles = s.profiles
	if in.Entries, in.Current, err = s.facts(ctx, in.Caller); err != nil {
		return nil, err
	}
	grant, err = policy.Decide(in)
	if in.Caller.Method == policy.MethodJWT && isDenial(err, policy.RuleNoEntry) {
		changed, refreshErr := s.refreshEntries(ctx)
		if refreshErr != nil {
			return nil, refreshErr
		}
		if changed {
			in.Entries = s.entries.forIssuer(in.Caller.Issuer)
			grant, err = policy.Decide(in)
		}
	}
	if err != nil {
		var denial *policy.Denial
		if errors.As(err, &denial) {
			s.observer.Denied(s.profileLabel(in.Want.Profile), denial.Rule)
		}
		return nil, err
	}
	step.Note("pando.profile", grant.Profile.Name)
	return grant, nil
}

func isDenial(err error, rule policy.Rule) bool {
	var denial *policy.Denial
	return errors.As(err, &denial) && denial.Rule == rule
}

// profileLabel keeps a name that the caller chose out of the metrics unless it exists.
func (s *Service) profileLabel(name string) string {
	if s.profiles[name] == nil {
		return ""
	}
	return name
}

// facts gathers what the store knows of a caller.
func (s *Service) facts(ctx context.Context, caller policy.Caller) ([]*policy.Entry, *policy.Current, error) {
	switch caller.Method {
	case policy.MethodPeer:
		h, err := s.recorded(ctx, caller)
		switch {
		case err != nil:
			return nil, nil, err
		case h != nil:
			return nil, &h.current, nil
		case caller.Role != policy.RoleNone:
			// Nobody could have revoked it; see also presented.
			return nil, nil, permissionDenied("the presented certificate has no record")
		}
		return nil, nil, nil
	case policy.MethodJWT:
		return s.entries.forIssuer(caller.Issuer), nil, nil
	case policy.MethodJoinToken:
		entry, err := s.entry(ctx, caller.EntryID)
		if errors.Is(err, store.ErrNotFound) {
			return nil, nil, nil
		}
		return []*policy.Entry{entry}, nil, err
	}
	return nil, nil, nil
}

// recorded returns what the record of the presented certificate says, nil if there is none. It
// refuses a certificate that is not the recorded one.
func (s *Service) recorded(ctx context.Context, caller policy.Caller) (*holding, error) {
	h, err := s.holding(ctx, caller.Serial)
	if err == nil && h != nil && h.digest != caller.Fingerprint {
		return nil, errForged
	}
	return h, err
}

// holding reads a record. Records do not change, so that they are remembered.
func (s *Service) holding(ctx context.Context, serial ca.Serial) (*holding, error) {
	if h, ok := s.current.Get(serial); ok {
		return h, nil
	}
	record, err := s.records.Record(ctx, store.Serial(serial))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("record of the presented certificate: %w", err)
	}
	h, err := newHolding(record)
	if err != nil {
		return nil, err
	}
	s.current.Add(serial, h)
	return h, nil
}

func (s *Service) sign(ctx context.Context, trust *trust, grant *policy.Grant) (*ca.Certificate, error) {
	_, step := BeginStep(ctx, "sign")
	step.Note("pando.issuer", trust.set.Issuer().ID())
	start := time.Now()
	cert, err := trust.set.Issuer().Sign(grant.Leaf)
	s.observer.Signed(time.Since(start), err)
	step.End(err)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return cert, nil
}

// insert makes a record durable, or returns an error after which nothing may be released.
func (s *Service) insert(ctx context.Context, issuance *store.Issuance, now time.Time) error {
	ctx, step := BeginStep(ctx, "store")
	err := s.issuances.Insert(ctx, issuance, now)
	step.End(err)
	return err
}

// released is called once the record is durable: from here on the certificate may leave.
func (s *Service) released(trust *trust, issuance *store.Issuance, cert *ca.Certificate, grant *policy.Grant) *Issued {
	s.issued.Add(1)
	s.current.Add(cert.Serial, &holding{
		current: policy.Current{
			ID: grant.Leaf.ID, DNSNames: grant.Leaf.DNSNames, Profile: grant.Profile.Name, EntryID: grant.EntryID,
		},
		issuer: cert.Issuer, notBefore: grant.Leaf.NotBefore, notAfter: grant.Leaf.NotAfter, digest: sha256.Sum256(cert.Raw),
	})
	return trust.issued(&issuance.Record, grant.Profile.RenewAt)
}
