package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pando-ca/pando/ca/mtls"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/store"
)

// MTLSReadinessFilter says whose readiness is judged. Zero fields select everything.
type MTLSReadinessFilter struct {
	For       time.Duration // over which time; 0: a day. At most [mtls.Memory]
	Pattern   string        // only of SPIFFE IDs that it matches
	PageSize  int           // 0: 100; at most 999
	PageToken string
}

// MTLSReadiness is whether the listeners with one name, of all programs with a SPIFFE ID, could be
// strict; see [mtls.Verdict].
type MTLSReadiness struct {
	SPIFFEID string
	Listener string
	mtls.Verdict
}

// MTLSReadinessPage is a part of a listing, ordered by SPIFFE ID and listener. It may hold less
// than was asked for, or nothing, and not be the last one.
type MTLSReadinessPage struct {
	Listeners     []MTLSReadiness
	NextPageToken string // empty on the last page
}

const (
	// readinessPage is how many reports are read at once, and readinessLook after how many a page
	// ends, with whole listeners.
	readinessPage = 5000
	readinessLook = 100_000
)

// ListMTLSReadiness judges which listeners are ready to be strict, by what programs have reported:
// no instance accepted plaintext over the whole of the time, somebody connected by mutual TLS in
// it, and no override is in force. It does not know of programs that do not report.
func (s *Service) ListMTLSReadiness(ctx context.Context, caller policy.Caller, f MTLSReadinessFilter) (*MTLSReadinessPage, error) {
	now := time.Now()
	if err := s.authorize(ctx, caller, OpListMTLSReadiness); err != nil {
		return nil, err
	}
	q, err := s.readinessQuery(f, now)
	if err != nil {
		return nil, err
	}
	if s.mtlsStore == nil {
		return &MTLSReadinessPage{}, nil
	}
	if err := s.refreshMTLS(ctx, now); err != nil {
		return nil, err
	}
	if q.restored, err = s.restoredAt(ctx, now); err != nil {
		return nil, err
	}
	q.overrides = s.mtls.state.Load().inForce(now)
	q.reports = s.mtlsStore
	return q.page(ctx)
}

// readinessQuery is a checked filter.
type readinessQuery struct {
	reports   store.MTLSReports
	rows      store.MTLSReportFilter
	pattern   mtls.Pattern // zero: all
	overrides []mtls.Override
	from, now time.Time
	restored  time.Time // zero: never
	limit     int
}

// restoredAt is when the database was restored from a backup last; zero: never. What was reported
// between the backup and then is lost, so that nothing from before is observed.
func (s *Service) restoredAt(ctx context.Context, now time.Time) (time.Time, error) {
	if s.milestones == nil {
		return time.Time{}, nil
	}
	_, age, err := s.milestones.Milestone(ctx, store.MilestoneRestore)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return time.Time{}, nil
	case err != nil:
		return time.Time{}, fmt.Errorf("look for a restore: %w", err)
	}
	return now.Add(-age), nil
}

func (s *Service) readinessQuery(f MTLSReadinessFilter, now time.Time) (*readinessQuery, error) {
	if f.For == 0 {
		f.For = mtls.DefaultReadiness
	}
	if f.For < mtls.MinReadiness || f.For > mtls.Memory {
		return nil, invalid("for: %s is not between %s and %s", f.For, mtls.MinReadiness, mtls.Memory)
	}
	q := &readinessQuery{from: now.Add(-f.For), now: now}
	var err error
	if f.Pattern != "" {
		if q.pattern, err = parsePattern(f.Pattern); err != nil {
			return nil, err
		}
	}
	if q.limit, err = pageSize(f.PageSize); err != nil {
		return nil, err
	}
	q.rows = store.MTLSReportFilter{KeptAt: now, Limit: readinessPage}
	q.rows.First, q.rows.Last = q.pattern.Span(s.Set().TrustDomain())
	if f.PageToken == "" {
		return q, nil
	}
	id, listener, _ := strings.Cut(f.PageToken, "#")
	if _, err := spiffeid.Parse(id); err != nil || mtls.CheckName(listener) != nil {
		return nil, invalid("page_token: not one of ours")
	}
	q.rows.After = store.MTLSReportKey{SPIFFEID: id, Listener: listener, Instance: pastInstances}
	return q, nil
}

// pastInstances sorts behind every name of an instance.
const pastInstances = "~"

// listenerReports is what is reported of one listener.
type listenerReports struct {
	id       spiffeid.ID
	listener string
	seen     []mtls.Observation
}

// page goes through the reports until enough listeners are judged.
func (q *readinessQuery) page(ctx context.Context) (*MTLSReadinessPage, error) {
	page := &MTLSReadinessPage{}
	var at *listenerReports // which may have more reports
	for looked := 0; ; {
		rows, err := q.reports.MTLSReports(ctx, q.rows)
		if err != nil {
			return nil, fmt.Errorf("list mTLS reports: %w", err)
		}
		looked += len(rows)
		for i := range rows {
			r := &rows[i]
			if at == nil || at.id.String() != r.SPIFFEID || at.listener != r.Listener {
				if err := q.judge(ctx, page, at); err != nil {
					return nil, err
				}
				if len(page.Listeners) == q.limit || at != nil && looked >= readinessLook {
					page.NextPageToken = at.id.String() + "#" + at.listener
					return page, nil
				}
				if at, err = startListener(r); err != nil {
					return nil, err
				}
			}
			since := r.ObservedSince
			if since.Before(q.restored) {
				since = q.restored
			}
			at.seen = append(at.seen, mtls.Observation{
				Mode: mtls.Mode(r.Mode), Since: since, Until: r.NotAfter, LastMTLS: r.LastMTLS, LastPlaintext: r.LastPlaintext,
			})
		}
		if len(rows) < q.rows.Limit {
			return page, q.judge(ctx, page, at)
		}
		q.rows.After = rows[len(rows)-1].Key()
	}
}

func startListener(r *store.MTLSReport) (*listenerReports, error) {
	id, err := spiffeid.Parse(r.SPIFFEID)
	if err != nil {
		return nil, fmt.Errorf("mTLS report: %w", err)
	}
	return &listenerReports{id: id, listener: r.Listener}, nil
}

// judge adds a listener to a page, if it is one that is asked for.
func (q *readinessQuery) judge(ctx context.Context, page *MTLSReadinessPage, l *listenerReports) error {
	if l == nil || !q.pattern.IsZero() && !q.pattern.Matches(l.id) {
		return nil
	}
	overridden := false
	for _, o := range q.overrides {
		overridden = overridden || o.Listens(l.listener) && o.Pattern.Matches(l.id)
	}
	verdict := mtls.Judge(l.seen, overridden, q.from, q.now)
	if len(l.seen) >= maxReports/maxListeners { // with fewer, it cannot be that instances were refused
		n, err := q.reports.CountMTLSReports(ctx, l.id.String(), maxReports)
		if err != nil {
			return fmt.Errorf("count mTLS reports: %w", err)
		}
		if n >= maxReports {
			verdict.Obstacles = append(verdict.Obstacles, mtls.ObstacleTooMany)
		}
	}
	page.Listeners = append(page.Listeners, MTLSReadiness{SPIFFEID: l.id.String(), Listener: l.listener, Verdict: verdict})
	return nil
}
