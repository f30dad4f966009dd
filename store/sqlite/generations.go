package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/pando-ca/pando/store"
)

// Generation reads the current generation; see [store.Generations]. It is one statement, so
// that its authorities are those of one generation.
func (s *Store) Generation(ctx context.Context) (*store.Generation, error) {
	var g store.Generation
	rows, err := s.reader.query(ctx, generationSQL)
	_, err = collect("read generation", rows, err, func(from row) (struct{}, error) {
		return struct{}{}, scanAuthority(from, &g)
	})
	if err != nil {
		return nil, err
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
	return s.change(ctx, "replace generation", audit, func(t *tx) (bool, error) {
		rows, err := t.exec(ctx, swap, int64(from), int64(next.Number), next.TrustDomain, int64(next.Sequence),
			next.PublishedAt.UnixMicro(), octets(next.WindowKey))
		if err != nil {
			return false, err
		}
		if rows == 0 {
			return false, store.ErrConflict
		}
		if _, err := t.exec(ctx, authoritiesDeleteSQL); err != nil {
			return false, err
		}
		for at, a := range next.Authorities {
			_, err := t.exec(ctx, authorityInsertSQL, at, a.ID, a.Role, a.State, a.ParentID,
				octets(a.Certificate), octets(a.Key), a.StateSince.UnixMicro())
			if err != nil {
				return false, err
			}
		}
		return true, nil
	})
}

// scanAuthority reads a row of generation.sql: the generation, and one authority or none.
func scanAuthority(from row, g *store.Generation) error {
	var (
		number, sequence, publishedAt int64
		id, role, state, parent       sql.NullString
		certificate, key              []byte
		stateSince                    sql.NullInt64
	)
	err := from.Scan(&number, &g.TrustDomain, &sequence, &publishedAt, &g.WindowKey,
		&id, &role, &state, &parent, &certificate, &key, &stateSince)
	if err != nil {
		return err
	}
	g.Number, g.Sequence, g.PublishedAt = uint64(number), uint64(sequence), timeOf(publishedAt)
	if !id.Valid {
		return nil
	}
	g.Authorities = append(g.Authorities, store.Authority{
		ID: id.String, Role: role.String, State: state.String, ParentID: parent.String,
		Certificate: certificate, Key: key, StateSince: timeOf(stateSince.Int64),
	})
	return nil
}
