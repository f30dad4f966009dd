package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pando-ca/pando/store"
)

// MTLSPolicies lists policies; see [store.MTLSPolicies].
func (s *Store) MTLSPolicies(ctx context.Context) ([]store.MTLSPolicy, error) {
	rows, err := s.pool.Query(ctx, mtlsPoliciesSQL)
	if err != nil {
		return nil, s.classify("list mTLS policies", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p store.MTLSPolicy, err error) {
		var version int64
		err = row.Scan(&p.Pattern, &p.Name, &p.Mode, &p.PlaintextDial, &version, &p.UpdatedAt, &p.UpdatedBy)
		p.Version, p.UpdatedAt = uint64(version), p.UpdatedAt.UTC()
		return p, err
	})
	return all, s.classify("list mTLS policies", err)
}

// SetMTLSPolicy makes or replaces a policy; see [store.MTLSPolicies].
func (s *Store) SetMTLSPolicy(ctx context.Context, p store.MTLSPolicy, expect *uint64, audit store.Audit) (version uint64, err error) {
	err = s.change(ctx, "set mTLS policy", audit, func(tx pgx.Tx) (bool, error) {
		if version, err = nextMTLSVersion(ctx, tx, p.UpdatedAt); err != nil {
			return false, err
		}
		if _, err := expectMTLSPolicy(ctx, tx, p.Pattern, p.Name, expect); err != nil {
			return false, err
		}
		_, err := tx.Exec(ctx, mtlsPolicyPutSQL, p.Pattern, p.Name, p.Mode, p.PlaintextDial, int64(version), p.UpdatedAt, p.UpdatedBy)
		if err != nil {
			return false, err
		}
		var policies, names int
		if err := tx.QueryRow(ctx, mtlsPolicyCountsSQL).Scan(&policies, &names); err != nil {
			return false, err
		}
		if policies > store.MaxMTLSPolicies || names > store.MaxMTLSNames {
			return false, store.ErrTooMany
		}
		return true, notify(ctx, tx)
	})
	return version, err
}

// DeleteMTLSPolicy deletes a policy; see [store.MTLSPolicies].
func (s *Store) DeleteMTLSPolicy(ctx context.Context, pattern, name string, expect *uint64, audit store.Audit) error {
	return s.change(ctx, "delete mTLS policy", audit, func(tx pgx.Tx) (bool, error) {
		if _, err := nextMTLSVersion(ctx, tx, audit.At); err != nil {
			return false, err
		}
		there, err := expectMTLSPolicy(ctx, tx, pattern, name, expect)
		switch {
		case err != nil:
			return false, err
		case !there:
			return false, store.ErrNotFound
		}
		if _, err := tx.Exec(ctx, mtlsPolicyDeleteSQL, pattern, name); err != nil {
			return false, err
		}
		return true, notify(ctx, tx)
	})
}

// nextMTLSVersion moves the number on. Until tx ends nobody else changes policies or overrides.
func nextMTLSVersion(ctx context.Context, tx pgx.Tx, at time.Time) (uint64, error) {
	var version int64
	err := tx.QueryRow(ctx, mtlsVersionNextSQL, at.UnixMicro()).Scan(&version)
	return uint64(version), err
}

// expectMTLSPolicy reports whether there is a policy with this key. It refuses one of another
// version than is expected.
func expectMTLSPolicy(ctx context.Context, tx pgx.Tx, pattern, name string, expect *uint64) (there bool, err error) {
	var version int64
	err = tx.QueryRow(ctx, mtlsPolicyVersionSQL, pattern, name).Scan(&version)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return false, err
	}
	if expect != nil && *expect != uint64(version) {
		return false, store.ErrConflict
	}
	return err == nil, nil
}

// MTLSOverrides lists overrides; see [store.MTLSOverrides].
func (s *Store) MTLSOverrides(ctx context.Context, f store.MTLSOverrideFilter) ([]store.MTLSOverride, error) {
	rows, err := s.pool.Query(ctx, mtlsOverridesSQL, nullTime(f.InForceAt), f.Limit)
	if err != nil {
		return nil, s.classify("list mTLS overrides", err)
	}
	all, err := pgx.CollectRows(rows, scanMTLSOverride)
	return all, s.classify("list mTLS overrides", err)
}

// StartMTLSOverride begins an override; see [store.MTLSOverrides].
func (s *Store) StartMTLSOverride(ctx context.Context, o store.MTLSOverride, audit store.Audit) error {
	return s.change(ctx, "start mTLS override", audit, func(tx pgx.Tx) (bool, error) {
		if _, err := nextMTLSVersion(ctx, tx, o.StartedAt); err != nil {
			return false, err
		}
		_, err := tx.Exec(ctx, mtlsOverrideInsertSQL, o.ID, o.Pattern, o.Name, o.Side, o.Reason, o.StartedAt, o.StartedBy, o.ExpiresAt)
		if err != nil {
			return false, err
		}
		var inForce int
		if err := tx.QueryRow(ctx, mtlsOverridesCountSQL, o.StartedAt).Scan(&inForce); err != nil {
			return false, err
		}
		if inForce > store.MaxMTLSOverrides {
			return false, store.ErrTooMany
		}
		return true, notify(ctx, tx)
	})
}

// EndMTLSOverride ends an override by hand; see [store.MTLSOverrides].
func (s *Store) EndMTLSOverride(ctx context.Context, end store.MTLSOverride, audit store.Audit) (*store.MTLSOverride, error) {
	var o store.MTLSOverride
	err := s.change(ctx, "end mTLS override", audit, func(tx pgx.Tx) (bool, error) {
		tag, err := tx.Exec(ctx, mtlsOverrideEndSQL, end.ID, end.EndedAt, end.EndedBy, end.EndReason)
		if err != nil {
			return false, err
		}
		rows, err := tx.Query(ctx, mtlsOverrideSQL, end.ID)
		if err != nil {
			return false, err
		}
		o, err = pgx.CollectExactlyOneRow(rows, scanMTLSOverride)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return false, store.ErrNotFound
		case err != nil, tag.RowsAffected() == 0:
			return false, err
		}
		if _, err := nextMTLSVersion(ctx, tx, end.EndedAt); err != nil {
			return false, err
		}
		return true, notify(ctx, tx)
	})
	if err != nil {
		return nil, err
	}
	return &o, nil
}

func scanMTLSOverride(row pgx.CollectableRow) (store.MTLSOverride, error) {
	var o store.MTLSOverride
	var ended *time.Time
	err := row.Scan(&o.ID, &o.Pattern, &o.Name, &o.Side, &o.Reason, &o.StartedAt, &o.StartedBy, &o.ExpiresAt, &ended, &o.EndedBy, &o.EndReason)
	o.StartedAt, o.ExpiresAt, o.EndedAt = o.StartedAt.UTC(), o.ExpiresAt.UTC(), timeOrZero(ended)
	return o, err
}

// MTLSVersion changes with policies and overrides; see [store.MTLSVersions].
func (s *Store) MTLSVersion(ctx context.Context) (uint64, error) {
	var version int64
	if err := s.pool.QueryRow(ctx, mtlsVersionSQL).Scan(&version); err != nil {
		return 0, s.classify("read mTLS version", err)
	}
	return uint64(version), nil
}

// ReportMTLS writes reports; see [store.MTLSReports].
func (s *Store) ReportMTLS(ctx context.Context, reports []store.MTLSReport) error {
	var ids, listeners, instances, modes, sources []string
	var since, reported, notAfter []time.Time
	var lastMTLS, lastPlaintext []*time.Time
	for _, r := range store.MergeMTLSReports(reports) {
		ids, listeners, instances = append(ids, r.SPIFFEID), append(listeners, r.Listener), append(instances, r.Instance)
		modes, sources = append(modes, r.Mode), append(sources, r.Source)
		since, reported, notAfter = append(since, r.ObservedSince), append(reported, r.ReportedAt), append(notAfter, r.NotAfter)
		lastMTLS, lastPlaintext = append(lastMTLS, nullTime(r.LastMTLS)), append(lastPlaintext, nullTime(r.LastPlaintext))
	}
	if len(ids) == 0 {
		return nil
	}
	_, err := s.pool.Exec(ctx, mtlsReportSQL, ids, listeners, instances, modes, sources, since, lastMTLS, lastPlaintext, reported, notAfter)
	return s.classify("write mTLS reports", err)
}

// MTLSReports lists reports; see [store.MTLSReports].
func (s *Store) MTLSReports(ctx context.Context, f store.MTLSReportFilter) ([]store.MTLSReport, error) {
	all, err := list(ctx, s, func(row pgx.CollectableRow) (store.MTLSReport, error) {
		var r store.MTLSReport
		var lastMTLS, lastPlaintext *time.Time
		err := row.Scan(&r.SPIFFEID, &r.Listener, &r.Instance, &r.Mode, &r.Source, &r.ObservedSince, &lastMTLS, &lastPlaintext, &r.ReportedAt, &r.NotAfter)
		r.ObservedSince, r.ReportedAt, r.NotAfter = r.ObservedSince.UTC(), r.ReportedAt.UTC(), r.NotAfter.UTC()
		r.LastMTLS, r.LastPlaintext = timeOrZero(lastMTLS), timeOrZero(lastPlaintext)
		return r, err
	}, mtlsReportsSQL, f.First, f.Last, f.After.SPIFFEID, f.After.Listener, f.After.Instance, f.Keeps(), f.Limit)
	return all, s.classify("list mTLS reports", err)
}

// CountMTLSReports counts the reports of a SPIFFE ID; see [store.MTLSReports].
func (s *Store) CountMTLSReports(ctx context.Context, spiffeID string, limit int) (int, error) {
	var n int
	if err := s.pool.QueryRow(ctx, mtlsReportsCountSQL, spiffeID, limit).Scan(&n); err != nil {
		return 0, s.classify("count mTLS reports", err)
	}
	return n, nil
}

// nullTime is null for the zero time.
func nullTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// timeOrZero is the zero time for null.
func timeOrZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
