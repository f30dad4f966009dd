package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pando-ca/pando/store"
)

// Incidents lists incidents; see [store.Incidents].
func (s *Store) Incidents(ctx context.Context, limit int) ([]store.Incident, error) {
	rows, err := s.pool.Query(ctx, incidentsSQL, limit)
	if err != nil {
		return nil, s.classify("list incidents", err)
	}
	all, err := pgx.AppendRows([]store.Incident(nil), rows, scanIncident)
	return all, s.classify("list incidents", err)
}

// Incident finds an incident; see [store.Incidents].
func (s *Store) Incident(ctx context.Context, id string) (*store.Incident, error) {
	rows, err := s.pool.Query(ctx, incidentSQL, id)
	if err != nil {
		return nil, s.classify("read incident", err)
	}
	i, err := pgx.CollectExactlyOneRow(rows, scanIncident)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("read incident: %w", store.ErrNotFound)
	}
	if err != nil {
		return nil, s.classify("read incident", err)
	}
	return &i, nil
}

// Dependents counts who depends on issuers; see [store.Incidents].
func (s *Store) Dependents(ctx context.Context, f store.DependentsFilter) (map[string]store.Dependents, error) {
	f = f.Unbounded()
	var batch pgx.Batch
	batch.Queue(countPlanSQL)
	batch.Queue(dependentsSQL, f.Issuers, f.Now, f.IssuedBefore, f.RenewedSince)
	results := s.pool.SendBatch(ctx, &batch)
	found := make(map[string]store.Dependents)
	_, err := listed(results, func(row pgx.CollectableRow) (struct{}, error) {
		var issuer string
		var d store.Dependents
		var notAfter *time.Time
		err := row.Scan(&issuer, &d.Certificates, &notAfter, &d.PerSecond, &d.Renewed)
		if notAfter != nil {
			d.NotAfter = notAfter.UTC()
		}
		found[issuer] = d
		return struct{}{}, err
	})
	if err := errors.Join(err, results.Close()); err != nil {
		return nil, s.classify("count dependents", err)
	}
	return found, nil
}

// queueIncident declares an incident, or closes it.
func queueIncident(batch *pgx.Batch, i store.Incident) {
	var closed *time.Time
	if !i.ClosedAt.IsZero() {
		closed = &i.ClosedAt
	}
	issuers := i.Issuers
	if issuers == nil {
		issuers = []string{}
	}
	batch.Queue(incidentPutSQL, i.ID, i.CreatedAt, i.Actor, i.Reason, issuers, i.IssuedBefore, i.StartsAt, i.Deadline, i.Rate, i.Total, closed)
}

func scanIncident(row pgx.CollectableRow) (store.Incident, error) {
	var i store.Incident
	var closed *time.Time
	err := row.Scan(&i.ID, &i.CreatedAt, &i.Actor, &i.Reason, &i.Issuers, &i.IssuedBefore, &i.StartsAt, &i.Deadline, &i.Rate, &i.Total, &closed)
	if closed != nil {
		i.ClosedAt = closed.UTC()
	}
	for _, t := range []*time.Time{&i.CreatedAt, &i.IssuedBefore, &i.StartsAt, &i.Deadline} {
		*t = t.UTC()
	}
	return i, err
}
