package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/pando-ca/pando/store"
)

// Generation reads the current generation; see [store.Generations]. It is one transaction, so
// that its authorities and incidents are those of one generation.
func (s *Store) Generation(ctx context.Context) (*store.Generation, error) {
	var g store.Generation
	err := s.reader.within(ctx, "read generation", func(t *tx) error {
		rows, err := t.query(ctx, generationSQL)
		_, err = collect("read authorities", rows, err, func(from row) (struct{}, error) {
			return struct{}{}, scanAuthority(from, &g)
		})
		if err != nil {
			return err
		}
		rows, err = t.query(ctx, incidentsOpenSQL)
		g.Incidents, err = collect("read incidents", rows, err, scanIncident)
		return err
	})
	if err != nil {
		return nil, err
	}
	if g.Number == 0 {
		return nil, fmt.Errorf("read generation: %w", store.ErrNotFound)
	}
	return &g, nil
}

// GenerationNumber is the number of the current generation; see [store.Generations].
func (s *Store) GenerationNumber(ctx context.Context) (uint64, error) {
	var number int64
	if err := s.reader.queryRow(ctx, generationNumberSQL).Scan(&number); err != nil {
		return 0, classify("read generation number", err)
	}
	return uint64(number), nil
}

// ReplaceGeneration makes next current; see [store.Generations].
func (s *Store) ReplaceGeneration(ctx context.Context, from uint64, next store.Generation, fence store.Fence, audits ...store.Audit) error {
	if next.Number != from+1 {
		return fmt.Errorf("replace generation %d by %d: %w", from, next.Number, store.ErrInvalid)
	}
	return s.announced(s.audited(ctx, "replace generation", func(t *tx) ([]store.Audit, error) {
		if err := t.checkFence(ctx, fence); err != nil {
			return nil, err
		}
		if err := t.swapGeneration(ctx, from, &next); err != nil {
			return nil, err
		}
		for _, i := range next.Incidents {
			if err := t.putIncident(ctx, i); err != nil {
				return nil, err
			}
		}
		return audits, nil
	}))
}

// swapGeneration replaces the rows of the generation, if the current number is from.
func (t *tx) swapGeneration(ctx context.Context, from uint64, next *store.Generation) error {
	swap := generationNextSQL
	if from == 0 {
		swap = generationFirstSQL
	}
	rows, err := t.exec(ctx, swap, int64(from), int64(next.Number), next.TrustDomain, int64(next.Sequence),
		next.PublishedAt.UnixMicro(), octets(next.WindowKey))
	if err != nil {
		return err
	}
	if rows == 0 {
		return store.ErrConflict
	}
	if _, err := t.exec(ctx, revocationNumberTouchSQL, next.RevokedIDs()); err != nil {
		return err
	}
	if err := t.claimKeys(ctx, next); err != nil {
		return err
	}
	if _, err := t.exec(ctx, authoritiesDeleteSQL); err != nil {
		return err
	}
	for at, a := range next.Authorities {
		_, err := t.exec(ctx, authorityInsertSQL, at, a.ID, a.Role, a.State, a.ParentID,
			octets(a.Certificate), octets(a.Key), a.StateSince.UnixMicro(),
			a.CrossParentID, octets(a.CrossCertificate), int64(a.Sequence), a.CRLShards)
		if err != nil {
			return err
		}
	}
	_, err = t.exec(ctx, keyIntentsHeldSQL)
	return err
}

// scanAuthority reads a row of generation.sql: the generation, and one authority or none.
func scanAuthority(from row, g *store.Generation) error {
	var (
		number, sequence, publishedAt int64
		id, role, state, parent       sql.NullString
		certificate, key, cross       []byte
		stateSince, first, shards     sql.NullInt64
		crossParent                   sql.NullString
	)
	err := from.Scan(&number, &g.TrustDomain, &sequence, &publishedAt, &g.WindowKey,
		&id, &role, &state, &parent, &certificate, &key, &stateSince, &crossParent, &cross, &first, &shards)
	if err != nil {
		return err
	}
	g.Number, g.Sequence, g.PublishedAt = uint64(number), uint64(sequence), timeOf(publishedAt)
	if !id.Valid {
		return nil
	}
	g.Authorities = append(g.Authorities, store.Authority{
		ID: id.String, Role: role.String, State: state.String, ParentID: parent.String,
		Certificate: certificate, Key: some(key), StateSince: timeOf(stateSince.Int64),
		CrossParentID: crossParent.String, CrossCertificate: some(cross), Sequence: uint64(first.Int64), CRLShards: int(shards.Int64),
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
