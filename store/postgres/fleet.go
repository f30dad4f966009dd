package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pando-ca/pando/store"
)

// Identities tells how the holders of certificates are; see [store.Identities].
func (s *Store) Identities(ctx context.Context, f store.IdentityFilter) ([]store.Identity, error) {
	all, err := list(ctx, s, scanIdentity, identitiesSQL, f.After, f.EndsAfter, f.Limit)
	return all, s.classify("list identities", err)
}

func scanIdentity(row pgx.CollectableRow) (store.Identity, error) {
	var i store.Identity
	var serial []byte
	err := row.Scan(&i.SPIFFEID, &serial, &i.Profile, &i.Issuer, &i.NotBefore, &i.NotAfter, &i.Revoked)
	copy(i.Serial[:], serial)
	i.NotBefore, i.NotAfter = i.NotBefore.UTC(), i.NotAfter.UTC()
	return i, err
}

// LiveCounts counts what is live; see [store.Identities].
func (s *Store) LiveCounts(ctx context.Context, now time.Time) ([]store.LiveCount, error) {
	day, _ := dayBounds(dayOf(now))
	all, err := list(ctx, s, func(row pgx.CollectableRow) (c store.LiveCount, err error) {
		err = row.Scan(&c.Profile, &c.Issuer, &c.Certificates, &c.Issued)
		return c, err
	}, liveCountsSQL, now, day, now.Add(-store.RecentlyIssued))
	return all, s.classify("count live certificates", err)
}

// Watched lists what is watched; see [store.Identities].
func (s *Store) Watched(ctx context.Context, endsAfter time.Time, limit int) ([]store.Identity, error) {
	all, err := list(ctx, s, scanIdentity, watchedSQL, endsAfter, limit)
	return all, s.classify("list watched", err)
}

// Holdings lists unexpired certificates; see [store.PreRenewals].
func (s *Store) Holdings(ctx context.Context, f store.HoldingFilter) ([]store.Holding, error) {
	all, err := list(ctx, s, scanHolding, holdingsSQL, f.First, f.Last, f.Now, f.After.NotAfter, octetsOf(&f.After.Serial), f.Limit)
	return all, s.classify("list holdings", err)
}

// Newest finds the successor that a holder may have; see [store.PreRenewals].
func (s *Store) Newest(ctx context.Context, spiffeID string, keyHash [32]byte, now time.Time) (*store.Holding, error) {
	all, err := list(ctx, s, scanHolding, newestSQL, spiffeID, keyHash[:], now)
	switch {
	case err != nil:
		return nil, s.classify("read newest", err)
	case len(all) == 0:
		return nil, fmt.Errorf("read newest: %w", store.ErrNotFound)
	}
	return &all[0], nil
}

// scanHolding reads a record with one column more.
func scanHolding(row pgx.CollectableRow) (store.Holding, error) {
	var h store.Holding
	var err error
	h.Record, err = scanRecord(longer{row, &h.Collected})
	return h, err
}

// longer is a row with a last column of its own.
type longer struct {
	pgx.CollectableRow
	last any
}

func (l longer) Scan(to ...any) error { return l.CollectableRow.Scan(append(to, l.last)...) }

// Collect notes that a holder has been given a certificate; see [store.PreRenewals].
func (s *Store) Collect(ctx context.Context, serial store.Serial) error {
	_, err := s.pool.Exec(ctx, collectSQL, serial[:], serial.NotAfter())
	return s.classify("collect", err)
}

// SaveFigures replaces the figures; see [store.Figures].
func (s *Store) SaveFigures(ctx context.Context, data []byte, fence store.Fence) error {
	return s.transact(ctx, "save figures", func(tx pgx.Tx) error {
		if err := checkFence(ctx, tx, fence); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, figuresSaveSQL, data)
		return err
	})
}

// Figures reads the figures; see [store.Figures].
func (s *Store) Figures(ctx context.Context) (data []byte, age time.Duration, err error) {
	err = s.pool.QueryRow(ctx, figuresSQL).Scan(&data, &age)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, 0, fmt.Errorf("read figures: %w", store.ErrNotFound)
	}
	return data, age, s.classify("read figures", err)
}
