package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/store"
)

// entryIDPrefix begins the ID of every entry.
const entryIDPrefix = "ent"

// EntryStore keeps the entries and tells when they have changed.
type EntryStore interface {
	store.Entries
	store.EntryVersions
}

// Entry is a rule as the doors show it; see [policy.EntrySpec].
type Entry struct {
	policy.EntrySpec
	CreatedAt time.Time
	CreatedBy string
}

// CreateEntry makes a rule. The ID is given by Pando. A rule for an identity under /pando/
// takes an administrator.
func (s *Service) CreateEntry(ctx context.Context, caller policy.Caller, spec policy.EntrySpec) (*Entry, error) {
	now := time.Now().Truncate(time.Microsecond) // as it is stored, so that every answer says the same
	if err := s.authorize(ctx, caller, OpCreateEntry); err != nil {
		return nil, err
	}
	spec.ID = newID(entryIDPrefix)
	if spec.Profile == "" {
		spec.Profile = policy.ProfileWorkload
	}
	if err := s.checkEntry(caller, spec); err != nil {
		return nil, err
	}
	row := store.Entry{
		ID: spec.ID, SPIFFEID: spec.SPIFFEID, DNSNames: spec.DNSNames, Profile: spec.Profile,
		Method: string(spec.Method), Issuer: spec.Issuer, Claims: spec.Claims,
		PreRenew: spec.PreRenew, Watch: spec.Watch, CreatedAt: now, CreatedBy: caller.Subject,
	}
	audit := store.Audit{
		At: now, Actor: caller.Subject, Action: "entry.create", Target: row.ID,
		Detail: map[string]string{"spiffe_id": row.SPIFFEID, "method": row.Method, "profile": row.Profile},
	}
	if row.PreRenew {
		audit.Detail["pre_renew"] = "true"
	}
	if row.Watch {
		audit.Detail["watch"] = "true"
		if err := s.roomToWatch(ctx); err != nil {
			return nil, fmt.Errorf("create entry: %w", err)
		}
	}
	if err := s.store.CreateEntry(ctx, row, audit); err != nil {
		return nil, fmt.Errorf("create entry: %w", err)
	}
	// Best effort: the entry is durable, and the next look at the version finds it anyway.
	if _, err := s.refreshEntries(ctx); err != nil {
		s.log.WarnContext(ctx, "entries not refreshed after a change", "error", err)
	}
	return entryOf(&row), nil
}

// MaxWatched is how many entries may be watched: each makes two series on every replica.
const MaxWatched = 500

// roomToWatch refuses one more entry to watch. Two that are made at once may both pass; the figures
// show the first [MaxWatched] identities only.
func (s *Service) roomToWatch(ctx context.Context) error {
	watched, err := s.store.Entries(ctx, store.EntryFilter{Watch: true, Limit: MaxWatched})
	if err != nil {
		return fmt.Errorf("count watched: %w", err)
	}
	if len(watched) == MaxWatched {
		return Refused(fmt.Sprintf("watch: %d entries are watched, which is the most: delete one, or make this one without", MaxWatched), false)
	}
	return nil
}

func (s *Service) checkEntry(caller policy.Caller, spec policy.EntrySpec) error {
	entry, err := policy.ParseEntry(spec, s.Set().TrustDomain())
	switch {
	case err != nil:
		return invalid("entry: %v", err)
	case s.profiles[spec.Profile] == nil:
		return invalid("profile: there is no profile %q", spec.Profile)
	case spec.Method == policy.MethodJWT && !s.issuers[spec.Issuer]:
		return invalid("issuer: there is no JWT issuer %q in the configuration", spec.Issuer)
	case entry.Reserved() && !caller.Role.AtLeast(policy.RoleAdmin):
		return permissionDenied("an entry under /pando/ requires the role %s", policy.RoleAdmin)
	}
	// An entry that its profile refuses would be found out by the workload.
	var denial *policy.Denial
	if err := s.profiles[spec.Profile].CheckDNSNames(spec.DNSNames); errors.As(err, &denial) {
		return invalid("dns_names: %s", denial.Reason)
	}
	return nil
}

// GetEntry looks one rule up.
func (s *Service) GetEntry(ctx context.Context, caller policy.Caller, id string) (*Entry, error) {
	if err := s.authorize(ctx, caller, OpGetEntry); err != nil {
		return nil, err
	}
	if err := checkTexts(id); err != nil {
		return nil, err
	}
	row, err := s.store.Entry(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("entry: %w", err)
	}
	return entryOf(row), nil
}

// EntryFilter selects rules. Zero fields select everything.
type EntryFilter struct {
	SPIFFEID  string
	Method    policy.Method
	PageSize  int // 0: 100; at most 999
	PageToken string
}

// EntryPage is a part of a listing, ordered by ID.
type EntryPage struct {
	Entries       []Entry
	NextPageToken string // empty on the last page
}

// ListEntries lists rules.
func (s *Service) ListEntries(ctx context.Context, caller policy.Caller, f EntryFilter) (*EntryPage, error) {
	if err := s.authorize(ctx, caller, OpListEntries); err != nil {
		return nil, err
	}
	if err := checkTexts(f.SPIFFEID, string(f.Method), f.PageToken); err != nil {
		return nil, err
	}
	limit, err := pageSize(f.PageSize)
	if err != nil {
		return nil, err
	}
	if f.PageToken != "" && !strings.HasPrefix(f.PageToken, entryIDPrefix) {
		return nil, invalid("page_token: not one of ours")
	}
	rows, err := s.store.Entries(ctx, store.EntryFilter{
		SPIFFEID: f.SPIFFEID, Method: string(f.Method), After: f.PageToken, Limit: limit + 1,
	})
	if err != nil {
		return nil, fmt.Errorf("list entries: %w", err)
	}
	page := &EntryPage{}
	if len(rows) > limit {
		rows = rows[:limit]
		page.NextPageToken = rows[limit-1].ID
	}
	for i := range rows {
		page.Entries = append(page.Entries, *entryOf(&rows[i]))
	}
	return page, nil
}

// DeleteEntry deletes a rule. Certificates issued under it live until they expire and can no
// longer be renewed, on any replica, once this returns. A rule under /pando/ takes an
// administrator.
func (s *Service) DeleteEntry(ctx context.Context, caller policy.Caller, id string) error {
	now := time.Now()
	if err := s.authorize(ctx, caller, OpDeleteEntry); err != nil {
		return err
	}
	if err := checkTexts(id); err != nil {
		return err
	}
	row, err := s.store.Entry(ctx, id)
	if err != nil {
		return fmt.Errorf("delete entry: %w", err)
	}
	if reservedTemplate(row.SPIFFEID) && !caller.Role.AtLeast(policy.RoleAdmin) {
		return permissionDenied("an entry under /pando/ requires the role %s", policy.RoleAdmin)
	}
	audit := store.Audit{
		At: now, Actor: caller.Subject, Action: "entry.delete", Target: id,
		Detail: map[string]string{"spiffe_id": row.SPIFFEID},
	}
	if err := s.store.DeleteEntry(ctx, id, audit); err != nil {
		return fmt.Errorf("delete entry: %w", err)
	}
	if _, err := s.refreshEntries(ctx); err != nil {
		s.log.WarnContext(ctx, "entries not refreshed after a change", "error", err)
	}
	return nil
}

// reservedTemplate judges a stored rule, also one that can no longer be parsed.
func reservedTemplate(text string) bool {
	template, err := policy.ParseTemplate(text)
	return err != nil || template.Reserved()
}

// entry reads one rule from the store, ready to be matched.
func (s *Service) entry(ctx context.Context, id string) (*policy.Entry, error) {
	row, err := s.store.Entry(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("entry %s: %w", id, err)
	}
	return parseEntry(row, s.Set().TrustDomain())
}

func parseEntry(row *store.Entry, td spiffeid.TrustDomain) (*policy.Entry, error) {
	entry, err := policy.ParseEntry(entryOf(row).EntrySpec, td)
	if err != nil {
		return nil, fmt.Errorf("entry %s: %w", row.ID, err)
	}
	return entry, nil
}

func entryOf(row *store.Entry) *Entry {
	return &Entry{
		EntrySpec: policy.EntrySpec{
			ID: row.ID, SPIFFEID: row.SPIFFEID, DNSNames: row.DNSNames, Profile: row.Profile,
			Method: policy.Method(row.Method), Issuer: row.Issuer, Claims: row.Claims,
			PreRenew: row.PreRenew, Watch: row.Watch,
		},
		CreatedAt: row.CreatedAt, CreatedBy: row.CreatedBy,
	}
}

// newID draws an identifier: a prefix for people and 96 random bits.
func newID(prefix string) string {
	var b [12]byte
	rand.Read(b[:]) // never fails; see crypto/rand
	return prefix + "_" + hex.EncodeToString(b[:])
}
