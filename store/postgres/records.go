package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pando-ca/pando/store"
)

// Record finds the certificate with a serial number; see [store.Records].
func (s *Store) Record(ctx context.Context, serial store.Serial) (*store.Record, error) {
	from, to := dayBounds(serial.Day())
	rows, err := s.pool.Query(ctx, recordSQL, serial[:], from, to)
	if err != nil {
		return nil, s.classify("read record", err)
	}
	r, err := pgx.CollectExactlyOneRow(rows, scanRecord)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("read record: %w", store.ErrNotFound)
	}
	if err != nil {
		return nil, s.classify("read record", err)
	}
	return &r, nil
}

// Records lists certificates; see [store.Records].
func (s *Store) Records(ctx context.Context, f store.RecordFilter) ([]store.Record, error) {
	sql, args := listing(f)
	all, err := list(ctx, s, scanRecord, sql, args...)
	return all, s.classify("list records", err)
}

// listing chooses the query, and with it the index, that finds fewest rows.
func listing(f store.RecordFilter) (sql string, args []any) {
	before := timeOrInfinity(f.ExpiresBefore)
	notAfter := timeOrInfinity(f.After.NotAfter)
	after := octetsOf(&f.After.Serial)
	switch {
	case f.State == store.StateRevoked:
		return recordsRevokedSQL, []any{f.SPIFFEID, f.Issuer, before, notAfter, after, f.Limit}
	case f.SPIFFEID != "":
		return recordsByIdentitySQL, []any{f.SPIFFEID, f.Issuer, string(f.State), f.Now, before, notAfter, after, f.Limit}
	case f.Issuer != "":
		return recordsByIssuerSQL, []any{f.Issuer, string(f.State), f.Now, before, notAfter, after, f.Limit}
	}
	return recordsSQL, []any{string(f.State), f.Now, before, notAfter, after, f.Limit}
}

// timeOrInfinity is later than every NotAfter when t is zero.
func timeOrInfinity(t time.Time) pgtype.Timestamptz {
	if t.IsZero() {
		return pgtype.Timestamptz{InfinityModifier: pgtype.Infinity, Valid: true}
	}
	return pgtype.Timestamptz{Time: t, Valid: true}
}

// dayBounds are the first moment of a UTC day and of the day after it.
func dayBounds(day int) (from, to time.Time) {
	const seconds = 24 * 60 * 60
	return time.Unix(int64(day)*seconds, 0).UTC(), time.Unix(int64(day+1)*seconds, 0).UTC()
}

// scanRecord reads a row of the queries record*.sql.
func scanRecord(row pgx.CollectableRow) (store.Record, error) {
	var (
		r                         store.Record
		serial, keyHash, replaces []byte
		dnsNames                  string
		revokedAt                 *time.Time
		reason                    *int
	)
	err := row.Scan(
		&serial, &r.SPIFFEID, &dnsNames, &r.Profile, &r.Issuer, &keyHash, &r.KeyAlgorithm, &r.IssuedAt, &r.NotBefore,
		&r.NotAfter, &r.Method, &r.Caller, &r.Address, &r.EntryID, &replaces, &r.RequestID, &r.Certificate,
		&revokedAt, &reason,
	)
	if err != nil {
		return r, err
	}
	copy(r.Serial[:], serial)
	copy(r.KeyHash[:], keyHash)
	copy(r.Replaces[:], replaces)
	if dnsNames != "" {
		r.DNSNames = strings.Split(dnsNames, " ")
	}
	for _, t := range [...]*time.Time{&r.IssuedAt, &r.NotBefore, &r.NotAfter} {
		*t = t.UTC()
	}
	if revokedAt != nil && reason != nil {
		r.Revoked = &store.Revocation{
			Serial: r.Serial, Issuer: r.Issuer, NotAfter: r.NotAfter, RevokedAt: revokedAt.UTC(), Reason: *reason,
		}
	}
	return r, nil
}
