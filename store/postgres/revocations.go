package postgres

import (
	"context"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pando-ca/pando/store"
)

// Revoke withdraws a certificate; see [store.Revocations].
func (s *Store) Revoke(ctx context.Context, serial store.Serial, at time.Time, reason int, audit store.Audit) error {
	return s.change(ctx, "revoke", audit, func(tx pgx.Tx) (bool, error) {
		if _, err := tx.Exec(ctx, lockExclusiveSQL); err != nil {
			return false, err
		}
		one := []selected{{Serial: serial[:]}}
		revoked, blocked, err := revoke(ctx, tx, one, at, reason)
		if err != nil || revoked > 0 {
			return revoked > 0, err
		}
		var exists bool
		if err := tx.QueryRow(ctx, revocationExistsSQL, serial[:]).Scan(&exists); err != nil {
			return false, err
		}
		if !exists {
			return false, store.ErrNotFound
		}
		return blocked > 0, nil
	})
}

// BlockKey refuses a public key from now on; see [store.Revocations].
func (s *Store) BlockKey(ctx context.Context, keyHash [32]byte, at time.Time, audit store.Audit) error {
	return s.change(ctx, "block key", audit, func(tx pgx.Tx) (bool, error) {
		if _, err := tx.Exec(ctx, lockExclusiveSQL); err != nil {
			return false, err
		}
		tag, err := tx.Exec(ctx, blockedKeyInsertSQL, keyHash[:], at)
		if err != nil || tag.RowsAffected() == 0 {
			return false, err
		}
		return true, notify(ctx, tx)
	})
}

// revokePart is the most that one transaction of RevokeSelected revokes: insertions wait for
// it, for about a tenth of a second.
const revokePart = 2000

// RevokeSelected revokes a part of what is selected; see [store.Revocations]. What a key or an
// issuer selects is read before the lock is taken, since nothing can join it any more. What a
// SPIFFE ID selects grows with every renewal, and is read under the lock.
func (s *Store) RevokeSelected(ctx context.Context, r store.BulkRevocation) (revoked int, next store.Cursor, err error) {
	var part []selected
	if r.SPIFFEID == "" {
		if part, err = s.closedSelection(ctx, r); err != nil || len(part) == 0 {
			return 0, store.Cursor{}, err
		}
	}
	err = s.audited(ctx, "revoke selected", func(tx pgx.Tx) (_ []store.Audit, err error) {
		if _, err := tx.Exec(ctx, lockExclusiveSQL); err != nil {
			return nil, err
		}
		if r.SPIFFEID != "" {
			if part, err = openSelection(ctx, tx, r); err != nil {
				return nil, err
			}
		}
		if revoked, _, err = revoke(ctx, tx, part, r.At, r.Reason); err != nil || revoked == 0 {
			return nil, err
		}
		return []store.Audit{r.Counted(revoked)}, nil
	})
	if err != nil || len(part) < revokePart {
		return revoked, store.Cursor{}, err
	}
	last := part[len(part)-1]
	return revoked, store.Cursor{NotAfter: last.NotAfter.UTC(), Serial: store.Serial(last.Serial)}, nil
}

// closedSelection reads a part of what a key or an issuer selects, after it has seen to it
// that this cannot grow.
func (s *Store) closedSelection(ctx context.Context, r store.BulkRevocation) ([]selected, error) {
	sql, args := selection(r.Selector, r.At, r.After, revokePart)
	if r.Issuer == "" {
		if err := s.BlockKey(ctx, r.KeyHash, r.At, r.Audit); err != nil {
			return nil, err
		}
		rows, err := s.pool.Query(ctx, sql, args...)
		if err != nil {
			return nil, s.classify("read selected certificates", err)
		}
		part, err := pgx.CollectRows(rows, pgx.RowToStructByPos[selected])
		return part, s.classify("read selected certificates", err)
	}
	var active bool
	if err := s.pool.QueryRow(ctx, issuerActiveSQL, r.Issuer).Scan(&active); err != nil {
		return nil, s.classify("read state of the issuer", err)
	}
	if active {
		return nil, s.classify("revoke selected", store.ErrIssuerActive)
	}
	part, err := list(ctx, s, pgx.RowToStructByPos[selected], sql, args...)
	return part, s.classify("read selected certificates", err)
}

// openSelection reads a part of what a SPIFFE ID selects, from the beginning: what was
// revoked is not selected any more. The caller holds the exclusive lock.
func openSelection(ctx context.Context, tx pgx.Tx, r store.BulkRevocation) ([]selected, error) {
	sql, args := selection(r.Selector, r.At, store.Cursor{}, revokePart)
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[selected])
}

// CountSelected counts; see [store.Revocations].
func (s *Store) CountSelected(ctx context.Context, selector store.Selector, at time.Time) (store.Selected, error) {
	sql, args := selection(selector, at, store.Cursor{}, 0)
	var n store.Selected
	err := s.pool.QueryRow(ctx, "SELECT count(*), count(DISTINCT s.spiffe_id) FROM ("+sql+") AS s", args...).
		Scan(&n.Certificates, &n.Identities)
	return n, s.classify("count selected certificates", err)
}

// selected is a row of the queries selected_by*.sql.
type selected struct {
	Serial   []byte
	NotAfter time.Time
	SPIFFEID string
}

// selection is the query for a part of what is selected; limit 0 means all.
func selection(selector store.Selector, at time.Time, after store.Cursor, limit int) (sql string, args []any) {
	if after.IsZero() {
		after.NotAfter = at
	}
	args = []any{nil, at, after.NotAfter, octetsOf(&after.Serial), limit}
	if limit == 0 {
		args[4] = nil
	}
	switch {
	case selector.SPIFFEID != "":
		args[0] = selector.SPIFFEID
		return selectedByIdentitySQL, args
	case selector.Issuer != "":
		args[0] = selector.Issuer
		return selectedByIssuerSQL, args
	}
	args[0] = selector.KeyHash[:]
	return selectedByKeySQL, args
}

// revoke revokes those of some certificates that are not revoked, and blocks the keys of all
// of them when they are compromised. It returns how many of both there were. The caller holds
// the exclusive lock. Acknowledgements of the revoked are dropped, since they count no more;
// Acknowledge takes the shared lock, so that none can come between.
func revoke(ctx context.Context, tx pgx.Tx, some []selected, at time.Time, reason int) (revoked, blocked int, err error) {
	serials, days := make([][]byte, len(some)), make([]time.Time, len(some))
	for i, c := range some {
		serials[i] = c.Serial
		days[i], _ = dayBounds(store.Serial(c.Serial).Day())
	}
	tag, err := tx.Exec(ctx, revocationInsertSQL, serials, days, at, reason, at.UnixMicro())
	if err != nil {
		return 0, 0, err
	}
	revoked = int(tag.RowsAffected())
	if reason == store.ReasonKeyCompromise {
		if tag, err = tx.Exec(ctx, blockedKeysInsertSQL, serials, days, at); err != nil {
			return 0, 0, err
		}
		blocked = int(tag.RowsAffected())
	}
	if revoked+blocked == 0 {
		return 0, 0, nil
	}
	var batch pgx.Batch
	if revoked > 0 {
		batch.Queue(revocationNumberNextSQL, at.UnixMicro(), revoked)
		batch.Queue(ackDeleteSQL, serials)
	}
	batch.Queue(notifySQL)
	return revoked, blocked, tx.SendBatch(ctx, &batch).Close()
}

// RevocationsSince reads on from a number; see [store.RevocationLog].
func (s *Store) RevocationsSince(ctx context.Context, after uint64, now time.Time, limit int) ([]store.Revocation, error) {
	all, err := list(ctx, s, scanRevocation, revocationsSinceSQL, int64(min(after, math.MaxInt64)), now, limit)
	return all, s.classify("read revocations", err)
}

func scanRevocation(row pgx.CollectableRow) (store.Revocation, error) {
	var r store.Revocation
	var serial []byte
	var seq int64
	err := row.Scan(&serial, &r.Issuer, &r.NotAfter, &r.RevokedAt, &r.Reason, &seq)
	if err != nil {
		return r, err
	}
	copy(r.Serial[:], serial)
	r.NotAfter, r.RevokedAt, r.Seq = r.NotAfter.UTC(), r.RevokedAt.UTC(), uint64(seq)
	return r, nil
}

// RevocationSequence is the highest number; see [store.RevocationLog].
func (s *Store) RevocationSequence(ctx context.Context) (uint64, error) {
	var seq int64
	if err := s.pool.QueryRow(ctx, revocationNumberSQL).Scan(&seq); err != nil {
		return 0, s.classify("read number of revocations", err)
	}
	return uint64(seq), nil
}
