package server

import (
	"context"
	"fmt"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/store"
)

// IdentityState is how the holder of certificates is.
type IdentityState string

// The states of an identity, by its newest certificate.
const (
	IdentityLive    IdentityState = "live"    // unexpired, and not past the end of its renewal window
	IdentityOverdue IdentityState = "overdue" // past the end of its renewal window and unexpired
	IdentityExpired IdentityState = "expired" // past NotAfter
	IdentityRevoked IdentityState = "revoked"
)

// IdentityStates lists every state.
func IdentityStates() []IdentityState {
	return []IdentityState{IdentityLive, IdentityOverdue, IdentityExpired, IdentityRevoked}
}

// Identity is a SPIFFE ID and its newest certificate, the one that ends last.
type Identity struct {
	SPIFFEID  string
	State     IdentityState
	Serial    string
	Profile   string
	Issuer    string
	NotBefore time.Time
	NotAfter  time.Time
	Renewal   ca.Window
}

const (
	// identityMemory is the longest that an identity is remembered past the end of its newest
	// certificate: long enough to be seen by those who are paged, and one more partition to read.
	identityMemory = 24 * time.Hour
	// identityPage is how many identities are read at once when most of them are not wanted.
	identityPage = 2000
	// identityLook bounds how many are looked at for one page of a listing.
	identityLook = 20_000
)

// identity judges a row at now. It reports false for one that is gone: as long ago as its last
// certificate lived, a day at most, nothing came after it.
func (s *Service) identity(set *ca.Set, row *store.Identity, now time.Time) (Identity, bool) {
	i := Identity{
		SPIFFEID: row.SPIFFEID, State: IdentityLive, Serial: ca.Serial(row.Serial).String(),
		Profile: row.Profile, Issuer: row.Issuer, NotBefore: row.NotBefore, NotAfter: row.NotAfter,
		Renewal: set.Window(row.Issuer, ca.Serial(row.Serial), row.NotBefore, row.NotAfter, s.renewAt(row.Profile)),
	}
	switch {
	case row.Revoked, issuerRevoked(set, row.Issuer):
		i.State = IdentityRevoked
	case !now.Before(row.NotAfter):
		i.State = IdentityExpired
	case now.After(i.Renewal.End):
		i.State = IdentityOverdue
	}
	memory := min(row.NotAfter.Sub(row.NotBefore), identityMemory)
	return i, now.Before(row.NotAfter.Add(memory))
}

// IdentityFilter selects identities. Zero fields select everything.
type IdentityFilter struct {
	State     IdentityState
	PageSize  int // 0: 100; at most 999
	PageToken string
}

// IdentityPage is a part of a listing, ordered by SPIFFE ID. It may hold less than was asked for,
// or nothing, and not be the last one.
type IdentityPage struct {
	Identities    []Identity
	NextPageToken string // empty on the last page
}

// ListIdentities lists the identities whose newest certificate lives, or has ended as long ago as
// it lived, a day at most.
func (s *Service) ListIdentities(ctx context.Context, caller policy.Caller, f IdentityFilter) (*IdentityPage, error) {
	now := time.Now()
	if err := s.authorize(ctx, caller, OpListIdentities); err != nil {
		return nil, err
	}
	limit, err := pageSize(f.PageSize)
	if err != nil {
		return nil, err
	}
	if f.PageToken != "" {
		if _, err := spiffeid.Parse(f.PageToken); err != nil {
			return nil, invalid("page_token: not one of ours")
		}
	}
	rows := store.IdentityFilter{EndsAfter: now.Add(-identityMemory), After: f.PageToken, Limit: limit + 1}
	switch f.State {
	case "":
	case IdentityLive, IdentityOverdue, IdentityExpired, IdentityRevoked:
		rows.Limit = identityPage
	default:
		return nil, invalid("state: %q is none of live, overdue, expired, revoked", f.State)
	}
	if s.fleet == nil {
		return &IdentityPage{}, nil
	}
	return s.identityPage(ctx, identityQuery{rows, f.State, limit, now})
}

// identityQuery is a checked filter.
type identityQuery struct {
	rows  store.IdentityFilter
	state IdentityState
	limit int
	now   time.Time
}

// identityPage looks at identities until the page is full, the listing ends, or it has looked at
// enough for one answer.
func (s *Service) identityPage(ctx context.Context, q identityQuery) (*IdentityPage, error) {
	set, page := s.Set(), &IdentityPage{}
	for looked := 0; looked < identityLook; {
		rows, err := s.fleet.Identities(ctx, q.rows)
		if err != nil {
			return nil, fmt.Errorf("list identities: %w", err)
		}
		for i := range rows {
			identity, ok := s.identity(set, &rows[i], q.now)
			if !ok || q.state != "" && identity.State != q.state {
				continue
			}
			if len(page.Identities) == q.limit { // there is one more
				page.NextPageToken = page.Identities[q.limit-1].SPIFFEID
				return page, nil
			}
			page.Identities = append(page.Identities, identity)
		}
		if len(rows) < q.rows.Limit {
			return page, nil
		}
		looked += len(rows)
		q.rows.After = rows[len(rows)-1].SPIFFEID
	}
	page.NextPageToken = q.rows.After
	return page, nil
}
