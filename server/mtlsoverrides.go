package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pando-ca/pando/ca/mtls"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/store"
)

// MTLSOverride is an emergency as the doors show it; see [mtls.Override].
type MTLSOverride = store.MTLSOverride

// overrideIDPrefix begins the ID of every override.
const overrideIDPrefix = "ovr"

const (
	// defaultOverride is long enough to look into a failure.
	defaultOverride = 30 * time.Minute
	// maxOverrideReason is what every program under the pattern is sent.
	maxOverrideReason = 200 // octets
	// maxOverrides is the most that a list holds; the rest is in the audit.
	maxOverrides = 100
	// maxAffected is how many identities are looked at for one answer.
	maxAffected = 100_000
)

// MTLSOverrideSpec is an override that is wanted.
type MTLSOverrideSpec struct {
	Pattern  string
	Name     string        // of listeners and dialers; empty: all
	Side     mtls.Side     // empty: both
	Duration time.Duration // 0: half an hour; at most [mtls.MaxOverride]
	Reason   string        // one line; required
	DryRun   bool          // only say what it would be, and for how many
}

// StartedMTLSOverride is an override that has begun, or would.
type StartedMTLSOverride struct {
	MTLSOverride
	DryRun bool
	// Identities is how many live identities the pattern matches, of a dry run; More says that
	// there are too many to look at all of them.
	Identities int
	More       bool
}

// ListMTLSOverrides lists overrides, those that began last first: those in force, or the last
// hundred.
func (s *Service) ListMTLSOverrides(ctx context.Context, caller policy.Caller, all bool) ([]MTLSOverride, error) {
	if err := s.authorize(ctx, caller, OpListMTLSOverrides); err != nil {
		return nil, err
	}
	if s.mtlsStore == nil {
		return nil, nil
	}
	filter := store.MTLSOverrideFilter{Limit: maxOverrides}
	if !all {
		filter.InForceAt = time.Now()
	}
	rows, err := s.mtlsStore.MTLSOverrides(ctx, filter)
	if err != nil {
		return nil, fmt.Errorf("list mTLS overrides: %w", err)
	}
	return rows, nil
}

// StartMTLSOverride lets plaintext in under a pattern, for a while: listeners that follow policy
// are permissive, dialers whose code allows plaintext use it. Programs are told within a second,
// and again when it expires.
func (s *Service) StartMTLSOverride(ctx context.Context, caller policy.Caller, spec MTLSOverrideSpec) (*StartedMTLSOverride, error) {
	now := time.Now().Truncate(time.Microsecond)
	if err := s.authorize(ctx, caller, OpStartMTLSOverride); err != nil {
		return nil, err
	}
	if err := spec.complete(); err != nil {
		return nil, err
	}
	if s.mtlsStore == nil {
		return nil, noMTLS()
	}
	started := &StartedMTLSOverride{DryRun: spec.DryRun, MTLSOverride: store.MTLSOverride{
		ID: newID(overrideIDPrefix), Pattern: spec.Pattern, Name: spec.Name, Side: string(spec.Side), Reason: spec.Reason,
		StartedAt: now, StartedBy: caller.Subject, ExpiresAt: now.Add(spec.Duration),
	}}
	if spec.DryRun {
		var err error
		started.Identities, started.More, err = s.countMatching(ctx, spec.Pattern, now)
		return started, err
	}
	audit := store.Audit{
		At: now, Actor: caller.Subject, Action: "mtls_override.start", Target: started.ID,
		Detail: map[string]string{
			"pattern": spec.Pattern, "name": spec.Name, "side": string(spec.Side), "reason": spec.Reason,
			"expires_at": started.ExpiresAt.UTC().Format(time.RFC3339),
		},
	}
	if err := s.mtlsStore.StartMTLSOverride(ctx, started.MTLSOverride, audit); err != nil {
		return nil, fmt.Errorf("start mTLS override: %w", tooManyOverrides(err))
	}
	s.log.WarnContext(ctx, "mTLS override started", "override", started.ID, "pattern", spec.Pattern, "name", spec.Name,
		"side", string(spec.Side), "expires_at", started.ExpiresAt, "by", caller.Subject, "reason", spec.Reason)
	s.mtlsChanged(ctx)
	return started, nil
}

func tooManyOverrides(err error) error {
	if errors.Is(err, store.ErrTooMany) {
		return &Error{
			Kind: KindRefused, Code: "refused", Err: err,
			Message: fmt.Sprintf("%d overrides are in force: end one, or start one with a wider pattern", store.MaxMTLSOverrides),
		}
	}
	return err
}

// complete fills in what is unset, and refuses what no override can be.
func (o *MTLSOverrideSpec) complete() error {
	if o.Side == "" {
		o.Side = mtls.SideBoth
	}
	if o.Duration == 0 {
		o.Duration = defaultOverride
	}
	o.Duration = o.Duration.Truncate(time.Microsecond) // as it is stored
	if err := checkMTLSScope(o.Pattern, o.Name); err != nil {
		return err
	}
	if !slices.Contains(mtls.Sides(), o.Side) {
		return invalid("side: %.40q is none of listen, dial, both", string(o.Side))
	}
	if err := mtls.CheckOverride(o.Duration); err != nil {
		return invalid("duration: %v", err)
	}
	return checkOverrideReason(o.Reason)
}

// checkOverrideReason takes one line of text.
func checkOverrideReason(reason string) error {
	switch {
	case strings.TrimSpace(reason) == "":
		return invalid("reason: needed")
	case len(reason) > maxOverrideReason:
		return invalid("reason: %d octets, at most %d", len(reason), maxOverrideReason)
	case !utf8.ValidString(reason) || strings.ContainsFunc(reason, unicode.IsControl):
		return invalid("reason: want one line of text")
	}
	return nil
}

// countMatching counts the live identities that a pattern matches, up to a limit.
func (s *Service) countMatching(ctx context.Context, text string, now time.Time) (n int, more bool, err error) {
	pattern, err := parsePattern(text)
	if err != nil || s.fleet == nil {
		return 0, false, err
	}
	set := s.Set()
	first, last := pattern.Span(set.TrustDomain())
	// Whoever comes behind the text without its last octet: the first one itself among them.
	filter := store.IdentityFilter{EndsAfter: now, After: first[:len(first)-1], Limit: identityPage}
	var rows []store.Identity
	for looked := 0; ; looked += len(rows) {
		rows, err = s.fleet.Identities(ctx, filter)
		if err != nil {
			return 0, false, fmt.Errorf("count identities: %w", err)
		}
		for i := range rows {
			if rows[i].SPIFFEID > last {
				return n, false, nil
			}
			identity, ok := s.identity(set, &rows[i], now)
			live := identity.State == IdentityLive || identity.State == IdentityOverdue
			if ok && live && affects(pattern, identity.SPIFFEID) {
				n++
			}
		}
		switch {
		case len(rows) < filter.Limit:
			return n, false, nil
		case looked >= maxAffected:
			return n, true, nil
		}
		filter.After = rows[len(rows)-1].SPIFFEID
	}
}

// affects reports whether an identity is under a pattern. Pando's own never are.
func affects(pattern mtls.Pattern, spiffeID string) bool {
	id, err := spiffeid.Parse(spiffeID)
	return err == nil && !policy.Reserved(id) && pattern.Matches(id)
}

// EndMTLSOverride ends an override before it expires. One that is over already stays as it is,
// and that is no error: the answer says how it ended.
func (s *Service) EndMTLSOverride(ctx context.Context, caller policy.Caller, id, reason string) (*MTLSOverride, error) {
	now := time.Now().Truncate(time.Microsecond)
	if err := s.authorize(ctx, caller, OpEndMTLSOverride); err != nil {
		return nil, err
	}
	if err := checkTexts(id); err != nil {
		return nil, err
	}
	if err := checkOverrideReason(reason); err != nil {
		return nil, err
	}
	if s.mtlsStore == nil {
		return nil, noMTLS()
	}
	end := store.MTLSOverride{ID: id, EndedAt: now, EndedBy: caller.Subject, EndReason: reason}
	audit := store.Audit{At: now, Actor: caller.Subject, Action: "mtls_override.end", Target: id, Detail: map[string]string{"reason": reason}}
	ended, err := s.mtlsStore.EndMTLSOverride(ctx, end, audit)
	if err != nil {
		return nil, fmt.Errorf("end mTLS override: %w", err)
	}
	s.mtlsChanged(ctx)
	return ended, nil
}
