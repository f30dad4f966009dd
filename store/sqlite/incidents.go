package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/pando-ca/pando/store"
)

// Incidents lists incidents; see [store.Incidents].
func (s *Store) Incidents(ctx context.Context, limit int) ([]store.Incident, error) {
	rows, err := s.reader.query(ctx, incidentsSQL, limit)
	return collect("list incidents", rows, err, scanIncident)
}

// Incident finds an incident; see [store.Incidents].
func (s *Store) Incident(ctx context.Context, id string) (*store.Incident, error) {
	i, err := scanIncident(s.reader.queryRow(ctx, incidentSQL, id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("read incident: %w", store.ErrNotFound)
	}
	if err != nil {
		return nil, classify("read incident", err)
	}
	return &i, nil
}

// Dependents counts who depends on issuers; see [store.Incidents].
func (s *Store) Dependents(ctx context.Context, f store.DependentsFilter) (map[string]store.Dependents, error) {
	f = f.Unbounded()
	issuers, err := json.Marshal(f.Issuers)
	if err != nil {
		return nil, fmt.Errorf("count dependents: %w", err)
	}
	found := make(map[string]store.Dependents)
	rows, err := s.reader.query(ctx, dependentsSQL, string(issuers), f.Now.UnixMicro(), f.IssuedBefore.UnixMicro(), f.RenewedSince.UnixMicro())
	_, err = collect("count dependents", rows, err, func(from row) (struct{}, error) {
		var issuer string
		var d store.Dependents
		var notAfter sql.NullInt64
		err := from.Scan(&issuer, &d.Certificates, &notAfter, &d.PerSecond, &d.Renewed)
		if notAfter.Valid {
			d.NotAfter = timeOf(notAfter.Int64)
		}
		found[issuer] = d
		return struct{}{}, err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// putIncident declares an incident, or closes it.
func (t *tx) putIncident(ctx context.Context, i store.Incident) error {
	issuers, err := json.Marshal(i.Issuers)
	if err != nil {
		return err
	}
	closed := sql.NullInt64{Int64: i.ClosedAt.UnixMicro(), Valid: !i.ClosedAt.IsZero()}
	_, err = t.exec(ctx, incidentPutSQL, i.ID, i.CreatedAt.UnixMicro(), i.Actor, i.Reason, string(issuers), i.IssuedBefore.UnixMicro(),
		i.StartsAt.UnixMicro(), i.Deadline.UnixMicro(), i.Rate, i.Total, closed)
	return err
}

func scanIncident(from row) (store.Incident, error) {
	var i store.Incident
	var issuers []byte
	var created, before, starts, deadline int64
	var closed sql.NullInt64
	err := from.Scan(&i.ID, &created, &i.Actor, &i.Reason, &issuers, &before, &starts, &deadline, &i.Rate, &i.Total, &closed)
	if err != nil {
		return i, err
	}
	for at, micros := range map[*time.Time]int64{&i.CreatedAt: created, &i.IssuedBefore: before, &i.StartsAt: starts, &i.Deadline: deadline} {
		*at = timeOf(micros)
	}
	if closed.Valid {
		i.ClosedAt = timeOf(closed.Int64)
	}
	return i, json.Unmarshal(issuers, &i.Issuers)
}
