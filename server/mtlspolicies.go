package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pando-ca/pando/ca/mtls"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/store"
)

// MTLSPolicy is a rule of mutual TLS as the doors show it; see [mtls.Rule]. Pattern and name
// together are its key.
type MTLSPolicy = store.MTLSPolicy

// MTLSPolicySpec is a rule that is wanted.
type MTLSPolicySpec struct {
	Pattern       string
	Name          string // of listeners and dialers; empty: all
	Mode          mtls.Mode
	PlaintextDial bool
	// Version is that of the policy which the caller has seen, 0 when there was none: another
	// one is a conflict. Nil: whatever there is is replaced.
	Version *uint64
}

// MTLSPolicyPage is a part of a listing, ordered by pattern and name.
type MTLSPolicyPage struct {
	Policies      []MTLSPolicy
	NextPageToken string // empty on the last page
}

// noMTLS is the failure of a service that keeps no policies.
func noMTLS() error { return notFound("mTLS policies are not kept here") }

// ListMTLSPolicies lists policies.
func (s *Service) ListMTLSPolicies(ctx context.Context, caller policy.Caller, size int, token string) (*MTLSPolicyPage, error) {
	if err := s.authorize(ctx, caller, OpListMTLSPolicies); err != nil {
		return nil, err
	}
	limit, err := pageSize(size)
	if err != nil {
		return nil, err
	}
	pattern, name, _ := strings.Cut(token, "#")
	if token != "" && (checkMTLSName(name) != nil || !strings.HasPrefix(pattern, "/")) {
		return nil, invalid("page_token: not one of ours")
	}
	if s.mtlsStore == nil {
		return &MTLSPolicyPage{}, nil
	}
	all, err := s.mtlsStore.MTLSPolicies(ctx) // some thousand at most
	if err != nil {
		return nil, fmt.Errorf("list mTLS policies: %w", err)
	}
	page := &MTLSPolicyPage{Policies: slices.DeleteFunc(all, func(p MTLSPolicy) bool {
		return token != "" && (p.Pattern < pattern || p.Pattern == pattern && p.Name <= name)
	})}
	if len(page.Policies) > limit {
		page.Policies = page.Policies[:limit]
		last := page.Policies[limit-1]
		page.NextPageToken = last.Pattern + "#" + last.Name
	}
	return page, nil
}

// SetMTLSPolicy makes a policy, or replaces the one with its pattern and name. Programs are told
// within a second.
func (s *Service) SetMTLSPolicy(ctx context.Context, caller policy.Caller, spec MTLSPolicySpec) (*MTLSPolicy, error) {
	now := time.Now().Truncate(time.Microsecond)
	if err := s.authorize(ctx, caller, OpSetMTLSPolicy); err != nil {
		return nil, err
	}
	if err := checkMTLSScope(spec.Pattern, spec.Name); err != nil {
		return nil, err
	}
	if !slices.Contains(mtls.Modes(), spec.Mode) {
		return nil, invalid("mode: %.40q is none of strict, permissive, disabled", string(spec.Mode))
	}
	if s.mtlsStore == nil {
		return nil, noMTLS()
	}
	row := store.MTLSPolicy{
		Pattern: spec.Pattern, Name: spec.Name, Mode: string(spec.Mode), PlaintextDial: spec.PlaintextDial,
		UpdatedAt: now, UpdatedBy: caller.Subject,
	}
	audit := store.Audit{
		At: now, Actor: caller.Subject, Action: "mtls_policy.set", Target: spec.Pattern,
		Detail: map[string]string{"name": row.Name, "mode": row.Mode, "plaintext_dial": strconv.FormatBool(row.PlaintextDial)},
	}
	var err error
	if row.Version, err = s.mtlsStore.SetMTLSPolicy(ctx, row, spec.Version, audit); err != nil {
		return nil, fmt.Errorf("set mTLS policy: %w", tooManyPolicies(err))
	}
	s.mtlsChanged(ctx)
	return &row, nil
}

func tooManyPolicies(err error) error {
	if errors.Is(err, store.ErrTooMany) {
		return &Error{
			Kind: KindRefused, Code: "refused", Err: err,
			Message: fmt.Sprintf("there may be %d policies, with %d different names", store.MaxMTLSPolicies, store.MaxMTLSNames),
		}
	}
	return err
}

// DeleteMTLSPolicy deletes a policy. What it decided is decided by the next wider one; without
// one, it is strict.
func (s *Service) DeleteMTLSPolicy(ctx context.Context, caller policy.Caller, pattern, name string, version *uint64) error {
	now := time.Now()
	if err := s.authorize(ctx, caller, OpDeleteMTLSPolicy); err != nil {
		return err
	}
	if _, err := parsePattern(pattern); err != nil {
		return err
	}
	if err := checkMTLSName(name); err != nil {
		return err
	}
	if s.mtlsStore == nil {
		return noMTLS()
	}
	audit := store.Audit{
		At: now, Actor: caller.Subject, Action: "mtls_policy.delete", Target: pattern, Detail: map[string]string{"name": name},
	}
	if err := s.mtlsStore.DeleteMTLSPolicy(ctx, pattern, name, version, audit); err != nil {
		return fmt.Errorf("delete mTLS policy: %w", err)
	}
	s.mtlsChanged(ctx)
	return nil
}

// mtlsChanged has this replica know of a change as it is answered. It is best effort: the change
// is durable, and the next look finds it.
func (s *Service) mtlsChanged(ctx context.Context) {
	if err := s.refreshMTLS(ctx, time.Now()); err != nil {
		s.log.WarnContext(ctx, "mTLS policies not refreshed after a change", "error", err)
	}
}

// EffectiveMTLS is what holds for one identity, and why; see [mtls.Effective].
type EffectiveMTLS struct {
	ID spiffeid.ID
	*mtls.Effective
}

// EffectiveMTLS tells what the programs with a SPIFFE ID are told, which policies decide that,
// and which do not. It is what this replica tells.
func (s *Service) EffectiveMTLS(ctx context.Context, caller policy.Caller, spiffeID string) (*EffectiveMTLS, error) {
	if err := s.authorize(ctx, caller, OpGetEffectiveMTLS); err != nil {
		return nil, err
	}
	id, err := spiffeid.Parse(spiffeID)
	switch {
	case err != nil:
		return nil, invalid("spiffe_id: %v", err)
	case !id.MemberOf(s.Set().TrustDomain()) || id.Path() == "":
		return nil, invalid("spiffe_id: %s is no workload of %s", id, s.Set().TrustDomain())
	}
	if err := s.refreshMTLS(ctx, time.Now()); err != nil {
		return nil, err
	}
	return &EffectiveMTLS{id, s.mtls.state.Load().at(time.Now()).explain(id)}, nil
}

// checkMTLSScope refuses what is no pattern or no name, and what is Pando's own.
func checkMTLSScope(pattern, name string) error {
	p, err := parsePattern(pattern)
	if err != nil {
		return err
	}
	if policy.ReservedSegment(p.First()) {
		return invalid("pattern: identities under /pando/ are always strict")
	}
	return checkMTLSName(name)
}

func parsePattern(text string) (mtls.Pattern, error) {
	p, err := mtls.ParsePattern(text)
	if err != nil {
		return p, invalid("%v", err)
	}
	return p, nil
}

// checkMTLSName takes a name, or none.
func checkMTLSName(name string) error {
	if name == "" {
		return nil
	}
	if err := mtls.CheckName(name); err != nil {
		return invalid("%v", err)
	}
	return nil
}
