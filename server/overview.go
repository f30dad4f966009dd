package server

import (
	"context"
	"fmt"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/mtls"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/store"
)

// Progress tells how far the rotation has come, from memory: it is asked every other second by
// whoever watches.
type Progress interface {
	// Progress is nil when that is not known.
	Progress(now time.Time) *RotationProgress
}

// RotationProgress is how far the rotation has come, as of the figures that were counted last.
type RotationProgress struct {
	Replica string // name of the replica that answers
	Leader  bool   // whether that is the one which rotates
	Roles   []RoleProgress
	Gates   []AuthorityProgress // of each authority, in the order of the generation
}

// RoleProgress is the phase that a role is in.
type RoleProgress struct {
	Role    ca.Role
	Phase   string // spreading, signing, draining or replacing
	Entered time.Time
	Ends    time.Time // when the phase is over at the latest; zero: it has no end, or that is not known
	Due     time.Time // when the next step is due
}

// AuthorityProgress is an authority and what its next step waits for.
type AuthorityProgress struct {
	ID         string
	Role       ca.Role
	State      ca.State
	ParentID   string // empty for a root
	NotBefore  time.Time
	NotAfter   time.Time
	StateSince time.Time

	// As in [AuthorityStatus]. Without figures, or when these are too old, all are zero.
	Waiting                 string
	OpensAt                 time.Time
	Live, Followers, Behind int
}

// Overview is a deployment at a glance. All but the audit rows comes from memory.
type Overview struct {
	At          time.Time // by the clock of the replica that answers
	TrustDomain string
	Generation  uint64
	Sequence    uint64 // of the trust bundle
	Issuer      string // ID of the active intermediate
	Issued      uint64 // certificates that this replica has issued since it started

	Rotation *RotationProgress // nil: not known

	CountedAt time.Time // when the fleet was counted; zero: not known, and the three below are empty
	Profiles  []ProfileOverview
	Live      int // certificates that are neither expired nor revoked
	Recent    int // of these, those that were issued in the minute before CountedAt, by all replicas

	Incidents  []IncidentOverview // the open ones
	Overrides  []mtls.Override    // in force: they let plaintext in
	Failing    []JobStatus        // jobs of this replica whose last run failed
	LastBackup time.Time          // zero: none that is known
	Audits     []AuditRow         // the newest first
}

// ProfileOverview is how many identities of a profile are in which state.
type ProfileOverview struct {
	Profile                         string
	Live, Overdue, Expired, Revoked int
	Earliest                        time.Time // when the first of the newest certificates ends; zero: there is none
}

// IncidentOverview is an open incident.
type IncidentOverview struct {
	ID       string
	StartsAt time.Time
	Deadline time.Time
	Rate     float64 // certificates per second that are to be replaced
	Total    int     // certificates that it was declared for
	Left     int     // of these, those that nobody had renewed at CountedAt; see Counted
	Counted  bool    // whether Left is known
}

// The audit rows of an overview.
const (
	defaultOverviewAudits = 10
	maxOverviewAudits     = 50 // more do not fit a screen; who wants all lists them
)

// Overview tells of a deployment at a glance, with the latest audit rows: so many, 1 to 50; 0 means
// ten. It is cheap: its cost is that of reading these rows, whatever the size of the fleet.
func (s *Service) Overview(ctx context.Context, caller policy.Caller, audits int) (*Overview, error) {
	if err := s.authorize(ctx, caller, OpGetOverview); err != nil {
		return nil, err
	}
	switch {
	case audits < 0 || audits > maxOverviewAudits:
		return nil, invalid("audit: %d is not between 1 and %d", audits, maxOverviewAudits)
	case audits == 0:
		audits = defaultOverviewAudits
	}
	now, set := time.Now(), s.Set()
	o := &Overview{
		At: now, TrustDomain: set.TrustDomain().String(), Generation: set.Generation(), Sequence: set.Sequence(),
		Issuer: set.Issuer().ID(), Issued: s.issued.Load(), LastBackup: s.LastBackup(),
	}
	if s.progress != nil {
		o.Rotation = s.progress.Progress(now)
	}
	figures := s.Figures()
	o.count(figures)
	o.Overrides, _ = s.MTLSOverridesInForce()
	o.Incidents = incidentsAtAGlance(set.Incidents(), figures)
	if s.jobs != nil {
		o.Failing = failing(s.jobs.Status(now))
	}
	var err error
	o.Audits, err = s.latestAudits(ctx, audits)
	return o, err
}

// count takes over what was counted last.
func (o *Overview) count(f *Figures) {
	if f == nil || f.At.IsZero() {
		return
	}
	o.CountedAt = f.At
	for _, c := range f.Live {
		o.Live += c.Certificates
		o.Recent += c.Issued
	}
	for _, i := range f.Identities { // ordered by profile
		if n := len(o.Profiles); n == 0 || o.Profiles[n-1].Profile != i.Profile {
			o.Profiles = append(o.Profiles, ProfileOverview{Profile: i.Profile})
		}
		p := &o.Profiles[len(o.Profiles)-1]
		switch i.State {
		case IdentityLive:
			p.Live = i.Count
		case IdentityOverdue:
			p.Overdue = i.Count
		case IdentityExpired:
			p.Expired = i.Count
		case IdentityRevoked:
			p.Revoked = i.Count
		}
	}
	for i := range o.Profiles {
		for _, e := range f.Earliest {
			if e.Profile == o.Profiles[i].Profile {
				o.Profiles[i].Earliest = e.NotAfter
			}
		}
	}
}

// incidentsAtAGlance is the open incidents, as they were declared, and who is left as it was counted.
func incidentsAtAGlance(open []ca.Incident, f *Figures) []IncidentOverview {
	var all []IncidentOverview
	for _, i := range open {
		shown := IncidentOverview{ID: i.ID, StartsAt: i.Start, Deadline: i.Deadline, Rate: i.Rate, Total: i.Total}
		if f != nil {
			for _, counted := range f.Incidents {
				if counted.ID == i.ID {
					shown.Left, shown.Counted = counted.Left, true
				}
			}
		}
		all = append(all, shown)
	}
	return all
}

// failing is the jobs whose last run failed.
func failing(jobs []JobStatus) []JobStatus {
	var all []JobStatus
	for _, j := range jobs {
		if j.LastError != "" {
			all = append(all, j)
		}
	}
	return all
}

func (s *Service) latestAudits(ctx context.Context, limit int) ([]AuditRow, error) {
	if s.audits == nil {
		return nil, nil
	}
	rows, err := s.audits.Audits(ctx, store.AuditFilter{Limit: limit})
	if err != nil {
		return nil, fmt.Errorf("latest audit rows: %w", err)
	}
	return auditRows(rows), nil
}
