package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"time"

	"github.com/pando-ca/pando/store"
)

// Audits lists audit rows; see [store.Audits].
func (s *Store) Audits(ctx context.Context, f store.AuditFilter) ([]store.Audit, error) {
	query, below, above := auditsSQL, f.After, int64(0)
	if f.Oldest {
		query, below, above = auditsOldestSQL, 0, f.After
	}
	if below == 0 {
		below = math.MaxInt64
	}
	rows, err := s.reader.query(ctx, query, below, above, f.Actor, f.Action, f.Target, momentOf(f.Since), momentOf(f.Until), f.Limit)
	return collect("list audit rows", rows, err, scanAudit)
}

// AppendAudit writes a row; see [store.Audits].
func (s *Store) AppendAudit(ctx context.Context, audit store.Audit) error {
	return s.change(ctx, "append audit row", audit, func(*tx) (bool, error) { return true, nil })
}

// momentOf is no time for a zero one.
func momentOf(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMicro(), Valid: !t.IsZero()}
}

func scanAudit(from row) (store.Audit, error) {
	var a store.Audit
	var at int64
	var detail []byte
	var link sql.NullInt64
	if err := from.Scan(&a.Seq, &at, &a.Actor, &a.Action, &a.Target, &detail, &link, &a.Hash); err != nil {
		return a, err
	}
	a.At, a.Detail, a.Link = timeOf(at), store.AuditDetail(detail), link.Int64
	return a, nil
}

// audited runs f in a transaction that writes, adds the audit rows that it returns to the chain,
// and commits. There is one such transaction at a time.
func (s *Store) audited(ctx context.Context, op string, f func(*tx) ([]store.Audit, error)) error {
	var written []store.Audit
	err := s.write(ctx, op, func(t *tx) error {
		audits, err := f(t)
		if err != nil || len(audits) == 0 {
			return err
		}
		written, err = t.addAudits(ctx, audits)
		return err
	})
	if err == nil && s.tell != nil && len(written) > 0 {
		s.tell(written)
	}
	return err
}

// addAudits writes rows behind the end of the chain.
func (t *tx) addAudits(ctx context.Context, audits []store.Audit) ([]store.Audit, error) {
	var last store.Audit
	if err := t.queryRow(ctx, auditHeadSQL).Scan(&last.Link, &last.Hash); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	rows, err := t.query(ctx, auditLooseSQL)
	loose, err := collect("read audit rows", rows, err, scanAudit)
	if err != nil {
		return nil, err
	}
	var given int64
	if err := t.queryRow(ctx, auditSeqsSQL).Scan(&given); err != nil {
		return nil, err
	}
	seqs := make([]int64, len(audits)+1)
	for i := range seqs {
		seqs[i] = given + int64(i) + 1
	}
	chained := store.AddToChain(last.Head(), loose, seqs, audits)
	for _, a := range chained {
		detail, err := encode(a.Detail)
		if err != nil {
			return nil, err
		}
		if _, err := t.exec(ctx, auditInsertSQL, a.Seq, a.At.UnixMicro(), a.Actor, a.Action, a.Target, detail, a.Link, a.Hash); err != nil {
			return nil, err
		}
	}
	for _, a := range loose {
		if _, err := t.exec(ctx, auditCoverSQL, chained[0].Link, a.Seq); err != nil {
			return nil, err
		}
	}
	return chained, nil
}
