package postgres

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

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
	all, err := list(ctx, s, scanAudit, query, below, above, f.Actor, f.Action, f.Target, momentOf(f.Since), momentOf(f.Until), f.Limit)
	return all, s.classify("list audit rows", err)
}

// AppendAudit writes a row; see [store.Audits].
func (s *Store) AppendAudit(ctx context.Context, audit store.Audit) error {
	return s.change(ctx, "append audit row", audit, func(pgx.Tx) (bool, error) { return true, nil })
}

// momentOf is no time for a zero one.
func momentOf(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func scanAudit(row pgx.CollectableRow) (store.Audit, error) {
	var a store.Audit
	var detail []byte
	var link *int64
	if err := row.Scan(&a.Seq, &a.At, &a.Actor, &a.Action, &a.Target, &detail, &link, &a.Hash); err != nil {
		return a, err
	}
	a.At, a.Detail = a.At.UTC(), store.AuditDetail(detail)
	if link != nil {
		a.Link = *link
	}
	return a, nil
}

// audited runs f in a transaction, adds the audit rows that it returns to the chain, and commits.
// The lock of the chain is the last that is taken, so that nobody who holds it waits for another
// one, and it is held for the time of the commit.
func (s *Store) audited(ctx context.Context, op string, f func(pgx.Tx) ([]store.Audit, error)) error {
	var written []store.Audit
	err := s.transact(ctx, op, func(tx pgx.Tx) error {
		written = nil // of an attempt before, which did not get the lock
		audits, err := f(tx)
		if err != nil || len(audits) == 0 {
			return err
		}
		written, err = addAudits(ctx, tx, audits)
		return err
	})
	if err == nil && s.tell != nil && len(written) > 0 {
		s.tell(written)
	}
	return err
}

// addAudits writes rows behind the end of the chain.
func addAudits(ctx context.Context, tx pgx.Tx, audits []store.Audit) ([]store.Audit, error) {
	end, err := readChain(ctx, tx, len(audits))
	if err != nil {
		return nil, err
	}
	chained := store.AddToChain(end.head, end.loose, end.seqs, audits)
	var batch pgx.Batch
	for _, a := range chained {
		batch.Queue(auditInsertSQL, a.Seq, a.At, a.Actor, a.Action, a.Target, a.Detail, a.Link, a.Hash)
	}
	if len(end.loose) > 0 {
		seqs := make([]int64, len(end.loose))
		for i := range end.loose {
			seqs[i] = end.loose[i].Seq
		}
		batch.Queue(auditCoverSQL, chained[0].Link, seqs)
	}
	return chained, tx.SendBatch(ctx, &batch).Close()
}

// chainEnd is what must be known to add to the chain.
type chainEnd struct {
	head  store.AuditHead
	loose []store.Audit
	seqs  []int64 // ascending, enough for the rows and for one that vouches for the loose ones
}

// readChain takes the lock of the chain and reads its end.
func readChain(ctx context.Context, tx pgx.Tx, rows int) (*chainEnd, error) {
	var batch pgx.Batch
	var end chainEnd
	batch.Queue(auditLockSQL)
	batch.Queue(auditHeadSQL).QueryRow(func(row pgx.Row) error {
		var last store.Audit
		err := row.Scan(&last.Link, &last.Hash)
		end.head = last.Head()
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	batch.Queue(auditLooseSQL).Query(func(rows pgx.Rows) (err error) {
		end.loose, err = pgx.CollectRows(rows, scanAudit)
		return err
	})
	batch.Queue(auditSeqsSQL, rows).Query(func(rows pgx.Rows) (err error) {
		end.seqs, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		return err
	})
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, err
	}
	if len(end.loose) > 0 {
		var one int64
		if err := tx.QueryRow(ctx, auditSeqsSQL, 1).Scan(&one); err != nil {
			return nil, err
		}
		end.seqs = append(end.seqs, one)
	}
	slices.Sort(end.seqs)
	return &end, nil
}
