package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/pando-ca/pando/store"
)

// Record finds the certificate with a serial number; see [store.Records].
func (s *Store) Record(ctx context.Context, serial store.Serial) (*store.Record, error) {
	r, err := scanRecord(s.reader.queryRow(ctx, recordSQL, serial[:]))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("read record: %w", store.ErrNotFound)
	}
	if err != nil {
		return nil, classify("read record", err)
	}
	return &r, nil
}

// Records lists certificates; see [store.Records].
func (s *Store) Records(ctx context.Context, f store.RecordFilter) ([]store.Record, error) {
	query, args := listing(f)
	rows, err := s.reader.query(ctx, query, args...)
	return collect("list records", rows, err, scanRecord)
}

// listing chooses the query, and with it the index, that finds fewest rows.
func listing(f store.RecordFilter) (query string, args []any) {
	before, notAfter := microsOrMax(f.ExpiresBefore), microsOrMax(f.After.NotAfter)
	after := octetsOf(&f.After.Serial)
	state := []any{string(f.State), f.Now.UnixMicro(), before, notAfter, after, f.Limit}
	switch {
	case f.State == store.StateRevoked:
		return recordsRevokedSQL, []any{f.SPIFFEID, f.Issuer, before, notAfter, after, f.Limit}
	case f.SPIFFEID != "":
		return recordsByIdentitySQL, append([]any{f.SPIFFEID, f.Issuer}, state...)
	case f.Issuer != "":
		return recordsByIssuerSQL, append([]any{f.Issuer}, state...)
	}
	return recordsSQL, state
}

// row is what sql.Row and sql.Rows have in common.
type row interface{ Scan(...any) error }

func scanRecord(from row) (store.Record, error) {
	var (
		r                             store.Record
		serial, keyHash, replaces     []byte
		dnsNames                      string
		issuedAt, notBefore, notAfter int64
		revokedAt, reason             sql.NullInt64
	)
	err := from.Scan(
		&serial, &r.SPIFFEID, &dnsNames, &r.Profile, &r.Issuer, &keyHash, &r.KeyAlgorithm, &issuedAt, &notBefore,
		&notAfter, &r.Method, &r.Caller, &r.Address, &r.EntryID, &replaces, &r.RequestID, &r.Certificate,
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
	r.IssuedAt, r.NotBefore, r.NotAfter = timeOf(issuedAt), timeOf(notBefore), timeOf(notAfter)
	if revokedAt.Valid {
		r.Revoked = &store.Revocation{
			Serial: r.Serial, Issuer: r.Issuer, NotAfter: r.NotAfter,
			RevokedAt: timeOf(revokedAt.Int64), Reason: int(reason.Int64),
		}
	}
	return r, nil
}

// collect reads the rows of a query.
func collect[T any](op string, rows *sql.Rows, err error, scan func(row) (T, error)) ([]T, error) {
	if err != nil {
		return nil, classify(op, err)
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, classify(op, err)
		}
		all = append(all, one)
	}
	return all, classify(op, rows.Err())
}

// timeOf reads a column of microseconds.
func timeOf(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

// microsOrMax is later than every NotAfter when t is zero.
func microsOrMax(t time.Time) int64 {
	if t.IsZero() {
		return math.MaxInt64
	}
	return t.UnixMicro()
}
