package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pando-ca/pando/store"
)

// Generation reads the current generation; see [store.Generations]. It is one snapshot, so that
// its authorities and incidents are those of one generation.
func (s *Store) Generation(ctx context.Context) (*store.Generation, error) {
	var g store.Generation
	snapshot := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err := pgx.BeginTxFunc(ctx, s.pool, snapshot, func(tx pgx.Tx) error {
		var batch pgx.Batch
		batch.Queue(generationSQL)
		batch.Queue(incidentsOpenSQL)
		results := tx.SendBatch(ctx, &batch)
		return errors.Join(readGeneration(results, &g), results.Close())
	})
	if err != nil {
		return nil, s.classify("read generation", err)
	}
	if g.Number == 0 {
		return nil, fmt.Errorf("read generation: %w", store.ErrNotFound)
	}
	return &g, nil
}

func readGeneration(results pgx.BatchResults, g *store.Generation) error {
	rows, err := results.Query()
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scanAuthority(rows, g); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if rows, err = results.Query(); err != nil {
		return err
	}
	g.Incidents, err = pgx.AppendRows(g.Incidents, rows, scanIncident)
	return err
}

// GenerationNumber is the number of the current generation; see [store.Generations].
func (s *Store) GenerationNumber(ctx context.Context) (uint64, error) {
	var number int64
	if err := s.pool.QueryRow(ctx, generationNumberSQL).Scan(&number); err != nil {
		return 0, s.classify("read generation number", err)
	}
	return uint64(number), nil
}

// ReplaceGeneration makes next current; see [store.Generations]. It holds the lock that
// insertions share, so that each of them is judged by the generation before or by next, and
// is durable before next is when it was judged by the one before.
func (s *Store) ReplaceGeneration(ctx context.Context, from uint64, next store.Generation, fence store.Fence, audits ...store.Audit) error {
	if next.Number != from+1 {
		return fmt.Errorf("replace generation %d by %d: %w", from, next.Number, store.ErrInvalid)
	}
	return s.audited(ctx, "replace generation", func(tx pgx.Tx) ([]store.Audit, error) {
		if _, err := tx.Exec(ctx, lockExclusiveSQL); err != nil {
			return nil, err
		}
		if err := checkFence(ctx, tx, fence); err != nil {
			return nil, err
		}
		if err := swapGeneration(ctx, tx, from, &next); err != nil {
			return nil, err
		}
		if err := claimKeys(ctx, tx, &next); err != nil {
			return nil, err
		}
		var batch pgx.Batch
		batch.Queue(revocationNumberTouchSQL, next.RevokedIDs())
		batch.Queue(authoritiesDeleteSQL)
		for at, a := range next.Authorities {
			batch.Queue(authorityInsertSQL, at, a.ID, a.Role, a.State, a.ParentID, octets(a.Certificate), octets(a.Key), a.StateSince,
				a.CrossParentID, octets(a.CrossCertificate), int64(a.Sequence), a.CRLShards)
		}
		for _, i := range next.Incidents {
			queueIncident(&batch, i)
		}
		batch.Queue(keyIntentsHeldSQL)
		batch.Queue(notifySQL)
		return audits, tx.SendBatch(ctx, &batch).Close()
	})
}

// swapGeneration replaces the row of the generation, if the current number is from.
func swapGeneration(ctx context.Context, tx pgx.Tx, from uint64, next *store.Generation) error {
	swap := generationNextSQL
	if from == 0 {
		swap = generationFirstSQL
	}
	tag, err := tx.Exec(ctx, swap, int64(from), int64(next.Number), next.TrustDomain, int64(next.Sequence),
		next.PublishedAt, octets(next.WindowKey))
	if err != nil {
		return err
	}
	if tag.RowsAffected() == 0 {
		return store.ErrConflict
	}
	return nil
}

// scanAuthority reads a row of generation.sql: the generation, and one authority or none.
func scanAuthority(rows pgx.Rows, g *store.Generation) error {
	var (
		number, sequence        int64
		id, role, state, parent *string
		certificate, key, cross []byte
		crossParent             *string
		first                   *int64
		shards                  *int
		publishedAt             time.Time
		stateSince              *time.Time
	)
	err := rows.Scan(&number, &g.TrustDomain, &sequence, &publishedAt, &g.WindowKey,
		&id, &role, &state, &parent, &certificate, &key, &stateSince, &crossParent, &cross, &first, &shards)
	if err != nil {
		return err
	}
	g.Number, g.Sequence, g.PublishedAt = uint64(number), uint64(sequence), publishedAt.UTC()
	if id == nil {
		return nil
	}
	g.Authorities = append(g.Authorities, store.Authority{
		ID: *id, Role: *role, State: *state, ParentID: *parent,
		Certificate: certificate, Key: some(key), StateSince: stateSince.UTC(),
		CrossParentID: *crossParent, CrossCertificate: some(cross), Sequence: uint64(*first), CRLShards: *shards,
	})
	return nil
}

// some makes none of an empty value.
func some(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

// octets makes an empty value of none: the columns take no null.
func octets(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
