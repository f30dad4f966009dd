package sqlite

import (
	"context"
	"math"
	"time"

	"github.com/pando-ca/pando/store"
)

// Revoke withdraws a certificate; see [store.Revocations].
func (s *Store) Revoke(ctx context.Context, serial store.Serial, at time.Time, reason int, audit store.Audit) error {
	return s.announced(s.change(ctx, "revoke", audit, func(t *tx) (bool, error) {
		revoked, blocked, err := t.revoke(ctx, serial, at, reason)
		if err != nil || revoked {
			return revoked, err
		}
		var exists bool
		if err := t.queryRow(ctx, revocationExistsSQL, serial[:]).Scan(&exists); err != nil {
			return false, err
		}
		if !exists {
			return false, store.ErrNotFound
		}
		return blocked, nil
	}))
}

// BlockKey refuses a public key from now on; see [store.Revocations].
func (s *Store) BlockKey(ctx context.Context, keyHash [32]byte, at time.Time, audit store.Audit) error {
	return s.announced(s.change(ctx, "block key", audit, func(t *tx) (bool, error) {
		rows, err := t.exec(ctx, blockedKeyInsertSQL, keyHash[:], at.UnixMicro())
		return rows == 1, err
	}))
}

// revokePart is the most that one transaction of RevokeSelected revokes: insertions wait for
// it, for some tens of milliseconds.
const revokePart = 1000

// RevokeSelected revokes a part of what is selected; see [store.Revocations]. What a key or an
// issuer selects is read before the transaction, since nothing can join it any more. What a
// SPIFFE ID selects grows with every renewal, and is read in it.
func (s *Store) RevokeSelected(ctx context.Context, r store.BulkRevocation) (revoked int, next store.Cursor, err error) {
	var part []selected
	if r.SPIFFEID == "" {
		if part, err = s.closedSelection(ctx, r); err != nil || len(part) == 0 {
			return 0, store.Cursor{}, err
		}
	}
	err = s.announced(s.audited(ctx, "revoke selected", func(t *tx) (_ []store.Audit, err error) {
		if r.SPIFFEID != "" {
			if part, err = t.openSelection(ctx, r); err != nil {
				return nil, err
			}
		}
		if revoked, err = t.revokeAll(ctx, part, r.At, r.Reason); err != nil || revoked == 0 {
			return nil, err
		}
		return []store.Audit{r.Counted(revoked)}, nil
	}))
	if err != nil || len(part) < revokePart {
		return revoked, store.Cursor{}, err
	}
	last := part[len(part)-1]
	return revoked, store.Cursor{NotAfter: last.notAfter, Serial: last.serial}, nil
}

// closedSelection reads a part of what a key or an issuer selects, after it has seen to it
// that this cannot grow.
func (s *Store) closedSelection(ctx context.Context, r store.BulkRevocation) ([]selected, error) {
	if r.Issuer == "" {
		if err := s.BlockKey(ctx, r.KeyHash, r.At, r.Audit); err != nil {
			return nil, err
		}
	}
	var active bool
	if err := s.reader.queryRow(ctx, issuerActiveSQL, r.Issuer).Scan(&active); err != nil {
		return nil, classify("read state of the issuer", err)
	}
	if active {
		return nil, classify("revoke selected", store.ErrIssuerActive)
	}
	query, args := selection(r.Selector, r.At, r.After, revokePart)
	rows, err := s.reader.query(ctx, query, args...)
	return collect("read selected certificates", rows, err, scanSelected)
}

// openSelection reads a part of what a SPIFFE ID selects, from the beginning: what was
// revoked is not selected any more.
func (t *tx) openSelection(ctx context.Context, r store.BulkRevocation) ([]selected, error) {
	query, args := selection(r.Selector, r.At, store.Cursor{}, revokePart)
	rows, err := t.query(ctx, query, args...)
	return collect("read selected certificates", rows, err, scanSelected)
}

// CountSelected counts; see [store.Revocations].
func (s *Store) CountSelected(ctx context.Context, selector store.Selector, at time.Time) (store.Selected, error) {
	query, args := selection(selector, at, store.Cursor{}, -1)
	var n store.Selected
	err := s.reader.QueryRowContext(ctx, "SELECT count(*), count(DISTINCT s.spiffe_id) FROM ("+query+") AS s", args...).
		Scan(&n.Certificates, &n.Identities)
	return n, classify("count selected certificates", err)
}

// selected is a row of the queries selected_by*.sql.
type selected struct {
	serial   store.Serial
	notAfter time.Time
}

func scanSelected(from row) (c selected, err error) {
	var serial []byte
	var notAfter int64
	var spiffeID string // for counting
	err = from.Scan(&serial, &notAfter, &spiffeID)
	copy(c.serial[:], serial)
	c.notAfter = timeOf(notAfter)
	return c, err
}

// selection is the query for a part of what is selected; a negative limit means all.
func selection(selector store.Selector, at time.Time, after store.Cursor, limit int) (query string, args []any) {
	if after.IsZero() {
		after.NotAfter = at
	}
	args = []any{nil, at.UnixMicro(), after.NotAfter.UnixMicro(), octetsOf(&after.Serial), limit}
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

// revoke revokes a certificate that is not revoked, and blocks its key when it is compromised.
// The acknowledgement of a certificate that is revoked counts no more.
func (t *tx) revoke(ctx context.Context, serial store.Serial, at time.Time, reason int) (revoked, blocked bool, err error) {
	rows, err := t.exec(ctx, revocationInsertSQL, serial[:], at.UnixMicro(), reason, at.UnixMicro())
	if err != nil {
		return false, false, err
	}
	if revoked = rows > 0; revoked {
		if _, err := t.exec(ctx, revocationNumberNextSQL, at.UnixMicro(), 1); err != nil {
			return false, false, err
		}
		if _, err := t.exec(ctx, ackDeleteSQL, serial[:]); err != nil {
			return false, false, err
		}
	}
	if reason == store.ReasonKeyCompromise {
		rows, err = t.exec(ctx, blockedKeysInsertSQL, serial[:], at.UnixMicro())
		blocked = rows > 0
	}
	return revoked, blocked, err
}

// revokeAll revokes certificates, and returns how many were not revoked before.
func (t *tx) revokeAll(ctx context.Context, some []selected, at time.Time, reason int) (int, error) {
	n := 0
	for _, c := range some {
		revoked, _, err := t.revoke(ctx, c.serial, at, reason)
		if err != nil {
			return 0, err
		}
		if revoked {
			n++
		}
	}
	return n, nil
}

// RevocationsSince reads on from a number; see [store.RevocationLog].
func (s *Store) RevocationsSince(ctx context.Context, after uint64, now time.Time, limit int) ([]store.Revocation, error) {
	rows, err := s.reader.query(ctx, revocationsSinceSQL, int64(min(after, math.MaxInt64)), now.UnixMicro(), limit)
	return collect("read revocations", rows, err, scanRevocation)
}

func scanRevocation(from row) (store.Revocation, error) {
	var r store.Revocation
	var serial []byte
	var notAfter, revokedAt, seq int64
	err := from.Scan(&serial, &r.Issuer, &notAfter, &revokedAt, &r.Reason, &seq)
	copy(r.Serial[:], serial)
	r.NotAfter, r.RevokedAt, r.Seq = timeOf(notAfter), timeOf(revokedAt), uint64(seq)
	return r, err
}

// RevocationSequence is the highest number; see [store.RevocationLog].
func (s *Store) RevocationSequence(ctx context.Context) (uint64, error) {
	var seq int64
	err := s.reader.queryRow(ctx, revocationNumberSQL).Scan(&seq)
	return uint64(seq), classify("read number of revocations", err)
}
