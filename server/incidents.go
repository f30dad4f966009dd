package server

import (
	"context"
	"fmt"
	"time"

	"github.com/pando-ca/pando/ca/policy"
)

// Incidents tells of mass re-issues and how far they have come.
type Incidents interface {
	// Incidents tells of at most limit incidents, the newest first.
	Incidents(ctx context.Context, limit int, now time.Time) ([]Incident, error)
	// Incident tells of one; it wraps store.ErrNotFound.
	Incident(ctx context.Context, id string, now time.Time) (*Incident, error)
}

// Incident is a declared mass re-issue, and how far it has come.
type Incident struct {
	ID        string
	CreatedAt time.Time
	Actor     string
	Reason    string
	Issuers   []string // IDs of the intermediates whose certificates are replaced
	StartsAt  time.Time
	Deadline  time.Time
	Rate      float64   // certificates per second
	Total     int       // certificates that it was declared for
	ClosedAt  time.Time // zero: it is open

	Replaced int       // of Total; also those that have expired
	Left     int       // certificates that nobody has renewed yet
	Overdue  int       // of these, by how many the pace is missed
	RateNow  float64   // certificates per second, over the last minute
	DoneAt   time.Time // when nobody is left at that rate; zero: not known
}

// maxIncidents is the most that a list holds. They are rare; the rest is in the audit.
const maxIncidents = 100

// Incidents lists the latest incidents, the newest first.
func (s *Service) Incidents(ctx context.Context, caller policy.Caller) ([]Incident, error) {
	if err := s.authorize(ctx, caller, OpListIncidents); err != nil {
		return nil, err
	}
	if s.incidents == nil {
		return nil, nil
	}
	all, err := s.incidents.Incidents(ctx, maxIncidents, time.Now())
	if err != nil {
		return nil, fmt.Errorf("list incidents: %w", err)
	}
	return all, nil
}

// Incident tells of one incident.
func (s *Service) Incident(ctx context.Context, caller policy.Caller, id string) (*Incident, error) {
	if err := s.authorize(ctx, caller, OpGetIncident); err != nil {
		return nil, err
	}
	if s.incidents == nil {
		return nil, notFound("there is no such incident")
	}
	if err := checkTexts(id); err != nil {
		return nil, err
	}
	i, err := s.incidents.Incident(ctx, id, time.Now())
	if err != nil {
		return nil, fmt.Errorf("incident: %w", err)
	}
	return i, nil
}
