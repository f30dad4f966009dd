package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pando-ca/pando/store"
)

// Generation reads the current generation; see [store.Generations]. It is one statement, so
// that its authorities are those of one generation.
func (s *Store) Generation(ctx context.Context) (*store.Generation, error) {
	rows, err := s.pool.Query(ctx, generationSQL)
	if err != nil {
		return nil, s.classify("read generation", err)
	}
	defer rows.Close()
	var g store.Generation
	for rows.Next() {
		if err := scanAuthority(rows, &g); err != nil {
			return nil, s.classify("read generation", err)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, s.classify("read generation", err)
	}
	if g.Number == 0 {
		return nil, fmt.Errorf("read generation: %w", store.ErrNotFound)
	}
	return &g, nil
}

// ReplaceGeneration makes next current; see [store.Generations].
func (s *Store) ReplaceGeneration(ctx context.Context, from uint64, next store.Generation, audit store.Audit) error {
	if next.Number != from+1 {
		return fmt.Errorf("replace generation %d by %d: %w", from, next.Number, store.ErrInvalid)
	}
	swap := generationNextSQL
	if from == 0 {
		swap = generationFirstSQL
	}
	return s.change(ctx, "replace generation", audit, func(tx pgx.Tx) (bool, error) {
		tag, err := tx.Exec(ctx, swap, int64(from), int64(next.Number), next.TrustDomain, int64(next.Sequence),
			next.PublishedAt, octets(next.WindowKey))
		if err != nil {
			return false, err
		}
		if tag.RowsAffected() == 0 {
			return false, store.ErrConflict
		}
		var batch pgx.Batch
		batch.Queue(authoritiesDeleteSQL)
		for at, a := range next.Authorities {
			batch.Queue(authorityInsertSQL, at, a.ID, a.Role, a.State, a.ParentID, octets(a.Certificate), octets(a.Key), a.StateSince)
		}
		return true, tx.SendBatch(ctx, &batch).Close()
	})
}

// scanAuthority reads a row of generation.sql: the generation, and one authority or none.
func scanAuthority(rows pgx.Rows, g *store.Generation) error {
	var (
		number, sequence        int64
		id, role, state, parent *string
		certificate, key        []byte
		publishedAt             time.Time
		stateSince              *time.Time
	)
	err := rows.Scan(&number, &g.TrustDomain, &sequence, &publishedAt, &g.WindowKey,
		&id, &role, &state, &parent, &certificate, &key, &stateSince)
	if err != nil {
		return err
	}
	g.Number, g.Sequence, g.PublishedAt = uint64(number), uint64(sequence), publishedAt.UTC()
	if id == nil {
		return nil
	}
	g.Authorities = append(g.Authorities, store.Authority{
		ID: *id, Role: *role, State: *state, ParentID: *parent,
		Certificate: certificate, Key: key, StateSince: stateSince.UTC(),
	})
	return nil
}

// octets makes an empty value of none: the columns take no null.
func octets(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
