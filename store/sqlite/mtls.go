package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/pando-ca/pando/store"
)

// MTLSPolicies lists policies; see [store.MTLSPolicies].
func (s *Store) MTLSPolicies(ctx context.Context) ([]store.MTLSPolicy, error) {
	rows, err := s.reader.query(ctx, mtlsPoliciesSQL)
	return collect("list mTLS policies", rows, err, func(from row) (p store.MTLSPolicy, err error) {
		var version, updatedAt int64
		err = from.Scan(&p.Pattern, &p.Name, &p.Mode, &p.PlaintextDial, &version, &updatedAt, &p.UpdatedBy)
		p.Version, p.UpdatedAt = uint64(version), timeOf(updatedAt)
		return p, err
	})
}

// SetMTLSPolicy makes or replaces a policy; see [store.MTLSPolicies].
func (s *Store) SetMTLSPolicy(ctx context.Context, p store.MTLSPolicy, expect *uint64, audit store.Audit) (version uint64, err error) {
	err = s.announced(s.change(ctx, "set mTLS policy", audit, func(t *tx) (bool, error) {
		if version, err = t.nextMTLSVersion(ctx, p.UpdatedAt); err != nil {
			return false, err
		}
		if _, err := t.expectMTLSPolicy(ctx, p.Pattern, p.Name, expect); err != nil {
			return false, err
		}
		_, err := t.exec(ctx, mtlsPolicyPutSQL, p.Pattern, p.Name, p.Mode, p.PlaintextDial, int64(version), p.UpdatedAt.UnixMicro(), p.UpdatedBy)
		if err != nil {
			return false, err
		}
		var policies, names int
		if err := t.queryRow(ctx, mtlsPolicyCountsSQL).Scan(&policies, &names); err != nil {
			return false, err
		}
		if policies > store.MaxMTLSPolicies || names > store.MaxMTLSNames {
			return false, store.ErrTooMany
		}
		return true, nil
	}))
	return version, err
}

// DeleteMTLSPolicy deletes a policy; see [store.MTLSPolicies].
func (s *Store) DeleteMTLSPolicy(ctx context.Context, pattern, name string, expect *uint64, audit store.Audit) error {
	return s.announced(s.change(ctx, "delete mTLS policy", audit, func(t *tx) (bool, error) {
		if _, err := t.nextMTLSVersion(ctx, audit.At); err != nil {
			return false, err
		}
		there, err := t.expectMTLSPolicy(ctx, pattern, name, expect)
		switch {
		case err != nil:
			return false, err
		case !there:
			return false, store.ErrNotFound
		}
		_, err = t.exec(ctx, mtlsPolicyDeleteSQL, pattern, name)
		return true, err
	}))
}

// nextMTLSVersion moves the number on.
func (t *tx) nextMTLSVersion(ctx context.Context, at time.Time) (uint64, error) {
	var version int64
	err := t.queryRow(ctx, mtlsVersionNextSQL, at.UnixMicro()).Scan(&version)
	return uint64(version), err
}

// expectMTLSPolicy reports whether there is a policy with this key. It refuses one of another
// version than is expected.
func (t *tx) expectMTLSPolicy(ctx context.Context, pattern, name string, expect *uint64) (there bool, err error) {
	var version int64
	err = t.queryRow(ctx, mtlsPolicyVersionSQL, pattern, name).Scan(&version)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, err
	}
	if expect != nil && *expect != uint64(version) {
		return false, store.ErrConflict
	}
	return err == nil, nil
}

// MTLSOverrides lists overrides; see [store.MTLSOverrides].
func (s *Store) MTLSOverrides(ctx context.Context, f store.MTLSOverrideFilter) ([]store.MTLSOverride, error) {
	rows, err := s.reader.query(ctx, mtlsOverridesSQL, nullMicros(f.InForceAt), f.Limit)
	return collect("list mTLS overrides", rows, err, scanMTLSOverride)
}

// StartMTLSOverride begins an override; see [store.MTLSOverrides].
func (s *Store) StartMTLSOverride(ctx context.Context, o store.MTLSOverride, audit store.Audit) error {
	return s.announced(s.change(ctx, "start mTLS override", audit, func(t *tx) (bool, error) {
		if _, err := t.nextMTLSVersion(ctx, o.StartedAt); err != nil {
			return false, err
		}
		_, err := t.exec(ctx, mtlsOverrideInsertSQL, o.ID, o.Pattern, o.Name, o.Side, o.Reason,
			o.StartedAt.UnixMicro(), o.StartedBy, o.ExpiresAt.UnixMicro())
		if err != nil {
			return false, err
		}
		var inForce int
		if err := t.queryRow(ctx, mtlsOverridesCountSQL, o.StartedAt.UnixMicro()).Scan(&inForce); err != nil {
			return false, err
		}
		if inForce > store.MaxMTLSOverrides {
			return false, store.ErrTooMany
		}
		return true, nil
	}))
}

// EndMTLSOverride ends an override by hand; see [store.MTLSOverrides].
func (s *Store) EndMTLSOverride(ctx context.Context, end store.MTLSOverride, audit store.Audit) (*store.MTLSOverride, error) {
	var o store.MTLSOverride
	err := s.announced(s.change(ctx, "end mTLS override", audit, func(t *tx) (bool, error) {
		ended, err := t.exec(ctx, mtlsOverrideEndSQL, end.ID, end.EndedAt.UnixMicro(), end.EndedBy, end.EndReason)
		if err != nil {
			return false, err
		}
		o, err = scanMTLSOverride(t.queryRow(ctx, mtlsOverrideSQL, end.ID))
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return false, store.ErrNotFound
		case err != nil, ended == 0:
			return false, err
		}
		_, err = t.nextMTLSVersion(ctx, end.EndedAt)
		return true, err
	}))
	if err != nil {
		return nil, err
	}
	return &o, nil
}

func scanMTLSOverride(from row) (store.MTLSOverride, error) {
	var o store.MTLSOverride
	var started, expires int64
	var ended sql.NullInt64
	err := from.Scan(&o.ID, &o.Pattern, &o.Name, &o.Side, &o.Reason, &started, &o.StartedBy, &expires, &ended, &o.EndedBy, &o.EndReason)
	o.StartedAt, o.ExpiresAt, o.EndedAt = timeOf(started), timeOf(expires), timeOrZero(ended)
	return o, err
}

// MTLSVersion changes with policies and overrides; see [store.MTLSVersions].
func (s *Store) MTLSVersion(ctx context.Context) (uint64, error) {
	var version int64
	if err := s.reader.queryRow(ctx, mtlsVersionSQL).Scan(&version); err != nil {
		return 0, classify("read mTLS version", err)
	}
	return uint64(version), nil
}

// ReportMTLS writes reports; see [store.MTLSReports].
func (s *Store) ReportMTLS(ctx context.Context, reports []store.MTLSReport) error {
	if len(reports) == 0 {
		return nil
	}
	return s.write(ctx, "write mTLS reports", func(t *tx) error {
		for _, r := range store.MergeMTLSReports(reports) {
			_, err := t.exec(ctx, mtlsReportSQL, r.SPIFFEID, r.Listener, r.Instance, r.Mode, r.Source, r.ObservedSince.UnixMicro(),
				nullMicros(r.LastMTLS), nullMicros(r.LastPlaintext), r.ReportedAt.UnixMicro(), r.NotAfter.UnixMicro())
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// MTLSReports lists reports; see [store.MTLSReports].
func (s *Store) MTLSReports(ctx context.Context, f store.MTLSReportFilter) ([]store.MTLSReport, error) {
	rows, err := s.reader.query(ctx, mtlsReportsSQL, f.First, f.Last, f.After.SPIFFEID, f.After.Listener, f.After.Instance,
		f.Keeps().UnixMicro(), f.Limit)
	return collect("list mTLS reports", rows, err, func(from row) (store.MTLSReport, error) {
		var r store.MTLSReport
		var since, reported, notAfter int64
		var lastMTLS, lastPlaintext sql.NullInt64
		err := from.Scan(&r.SPIFFEID, &r.Listener, &r.Instance, &r.Mode, &r.Source, &since, &lastMTLS, &lastPlaintext, &reported, &notAfter)
		r.ObservedSince, r.ReportedAt, r.NotAfter = timeOf(since), timeOf(reported), timeOf(notAfter)
		r.LastMTLS, r.LastPlaintext = timeOrZero(lastMTLS), timeOrZero(lastPlaintext)
		return r, err
	})
}

// CountMTLSReports counts the reports of a SPIFFE ID; see [store.MTLSReports].
func (s *Store) CountMTLSReports(ctx context.Context, spiffeID string, limit int) (int, error) {
	var n int
	if err := s.reader.queryRow(ctx, mtlsReportsCountSQL, spiffeID, limit).Scan(&n); err != nil {
		return 0, classify("count mTLS reports", err)
	}
	return n, nil
}

// nullMicros is null for the zero time.
func nullMicros(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMicro(), Valid: !t.IsZero()}
}

// timeOrZero is the zero time for null.
func timeOrZero(micros sql.NullInt64) time.Time {
	if !micros.Valid {
		return time.Time{}
	}
	return timeOf(micros.Int64)
}
