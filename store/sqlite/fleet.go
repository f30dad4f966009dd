package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/pando-ca/pando/store"
)

// Identities tells how the holders of certificates are; see [store.Identities].
func (s *Store) Identities(ctx context.Context, f store.IdentityFilter) ([]store.Identity, error) {
	rows, err := s.reader.query(ctx, identitiesSQL, f.After, f.EndsAfter.UnixMicro(), f.Limit)
	return collect("list identities", rows, err, scanIdentity)
}

func scanIdentity(from row) (store.Identity, error) {
	var i store.Identity
	var serial []byte
	var notBefore, notAfter int64
	err := from.Scan(&i.SPIFFEID, &serial, &i.Profile, &i.Issuer, &notBefore, &notAfter, &i.Revoked)
	copy(i.Serial[:], serial)
	i.NotBefore, i.NotAfter = timeOf(notBefore), timeOf(notAfter)
	return i, err
}

// LiveCounts counts what is live; see [store.Identities].
func (s *Store) LiveCounts(ctx context.Context, now time.Time) ([]store.LiveCount, error) {
	rows, err := s.reader.query(ctx, liveCountsSQL, now.UnixMicro(), now.Add(-store.RecentlyIssued).UnixMicro())
	return collect("count live certificates", rows, err, func(from row) (c store.LiveCount, err error) {
		err = from.Scan(&c.Profile, &c.Issuer, &c.Certificates, &c.Issued)
		return c, err
	})
}

// Watched lists what is watched; see [store.Identities].
func (s *Store) Watched(ctx context.Context, endsAfter time.Time, limit int) ([]store.Identity, error) {
	rows, err := s.reader.query(ctx, watchedSQL, endsAfter.UnixMicro(), limit)
	return collect("list watched", rows, err, scanIdentity)
}

// Holdings lists unexpired certificates; see [store.PreRenewals].
func (s *Store) Holdings(ctx context.Context, f store.HoldingFilter) ([]store.Holding, error) {
	rows, err := s.reader.query(ctx, holdingsSQL, f.First, f.Last, f.Now.UnixMicro(),
		f.After.NotAfter.UnixMicro(), octetsOf(&f.After.Serial), f.Limit)
	return collect("list holdings", rows, err, scanHolding)
}

// Newest finds the successor that a holder may have; see [store.PreRenewals].
func (s *Store) Newest(ctx context.Context, spiffeID string, keyHash [32]byte, now time.Time) (*store.Holding, error) {
	h, err := scanHolding(s.reader.queryRow(ctx, newestSQL, spiffeID, keyHash[:], now.UnixMicro()))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("read newest: %w", store.ErrNotFound)
	}
	if err != nil {
		return nil, classify("read newest", err)
	}
	return &h, nil
}

// scanHolding reads a record with one column more.
func scanHolding(from row) (store.Holding, error) {
	var h store.Holding
	var err error
	h.Record, err = scanRecord(longer{from, &h.Collected})
	return h, err
}

// longer is a row with a last column of its own.
type longer struct {
	row
	last any
}

func (l longer) Scan(to ...any) error { return l.row.Scan(append(to, l.last)...) }

// Collect notes that a holder has been given a certificate; see [store.PreRenewals].
func (s *Store) Collect(ctx context.Context, serial store.Serial) error {
	return s.write(ctx, "collect", func(t *tx) error {
		_, err := t.exec(ctx, collectSQL, serial[:], serial.NotAfter().UnixMicro())
		return err
	})
}

// SaveFigures replaces the figures; see [store.Figures].
func (s *Store) SaveFigures(ctx context.Context, data []byte, fence store.Fence) error {
	return s.write(ctx, "save figures", func(t *tx) error {
		if err := t.checkFence(ctx, fence); err != nil {
			return err
		}
		_, err := t.exec(ctx, figuresSaveSQL, string(data), time.Now().UnixMicro())
		return err
	})
}

// Figures reads the figures; see [store.Figures].
func (s *Store) Figures(ctx context.Context) (data []byte, age time.Duration, err error) {
	var computedAt int64
	err = s.reader.queryRow(ctx, figuresSQL).Scan(&data, &computedAt)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, 0, fmt.Errorf("read figures: %w", store.ErrNotFound)
	}
	return data, time.Since(timeOf(computedAt)), classify("read figures", err)
}
