package server

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/store"
)

// AuditRow is a change of state as the doors show it; see [store.Audit].
type AuditRow struct {
	Seq    int64
	At     time.Time
	Actor  string
	Action string
	Target string
	Detail map[string]string
	Link   int64  // place in the chain; 0: none yet
	Hash   string // SHA-256 in hex; empty: an earlier release has written it
}

// The orders of a listing of audit rows.
const (
	OrderNewest = "newest" // also when it is not set
	OrderOldest = "oldest"
)

// AuditFilter selects audit rows. Zero fields select everything.
type AuditFilter struct {
	Actor, Action, Target string
	Since                 time.Time // this moment and later
	Until                 time.Time // before this moment
	Order                 string    // OrderNewest or OrderOldest
	PageSize              int       // 0: 100; at most 999
	PageToken             string
}

// AuditPage is a part of a listing.
type AuditPage struct {
	Rows          []AuditRow
	NextPageToken string // empty on the last page
}

// ListAudit lists who has changed what. Everything that must be known to verify the chain is in
// it; see [store.AuditVerifier].
func (s *Service) ListAudit(ctx context.Context, caller policy.Caller, f AuditFilter) (*AuditPage, error) {
	if err := s.authorize(ctx, caller, OpListAudit); err != nil {
		return nil, err
	}
	filter, err := f.check()
	if err != nil {
		return nil, err
	}
	if s.audits == nil {
		return &AuditPage{}, nil
	}
	limit := filter.Limit
	filter.Limit++ // to know whether there is another page
	rows, err := s.audits.Audits(ctx, filter)
	if err != nil {
		return nil, fmt.Errorf("list audit rows: %w", err)
	}
	page := &AuditPage{}
	if len(rows) > limit {
		rows = rows[:limit]
		page.NextPageToken = strconv.FormatInt(rows[limit-1].Seq, 10)
	}
	page.Rows = auditRows(rows)
	return page, nil
}

func auditRows(rows []store.Audit) []AuditRow {
	var all []AuditRow
	for _, a := range rows {
		all = append(all, AuditRow{
			Seq: a.Seq, At: a.At, Actor: a.Actor, Action: a.Action, Target: a.Target, Detail: a.Detail,
			Link: a.Link, Hash: hex.EncodeToString(a.Hash),
		})
	}
	return all
}

// check is the filter as the store knows it.
func (f *AuditFilter) check() (store.AuditFilter, error) {
	var none store.AuditFilter
	if err := checkTexts(f.Actor, f.Action, f.Target); err != nil {
		return none, err
	}
	limit, err := pageSize(f.PageSize)
	if err != nil {
		return none, err
	}
	var after int64
	if f.PageToken != "" {
		if after, err = strconv.ParseInt(f.PageToken, 10, 64); err != nil || after < 1 {
			return none, invalid("page_token: not one of ours")
		}
	}
	switch f.Order {
	case "", OrderNewest, OrderOldest:
	default:
		return none, invalid("order: %q is none of %s, %s", f.Order, OrderNewest, OrderOldest)
	}
	return store.AuditFilter{
		Actor: f.Actor, Action: f.Action, Target: f.Target, Since: f.Since, Until: f.Until,
		Oldest: f.Order == OrderOldest, After: after, Limit: limit,
	}, nil
}
