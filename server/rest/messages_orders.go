package rest

import "time"

// PrepareAuthorityRequest asks for the next root.
type PrepareAuthorityRequest struct {
	Reason string `json:"reason,omitempty" doc:"Why, for the audit: one line of at most 1000 octets."`
	DryRun bool   `json:"dry_run,omitempty" doc:"Only say what would be done."`
}

// RotateAuthorityRequest says what to replace.
type RotateAuthorityRequest struct {
	Role   string `json:"role" enum:"root,intermediate" doc:"What to replace."`
	Reason string `json:"reason,omitempty" doc:"Why, for the audit."`
	DryRun bool   `json:"dry_run,omitempty" doc:"Only say what would be done."`
}

// ActivateAuthorityRequest is about a prepared root.
type ActivateAuthorityRequest struct {
	Reason string `json:"reason,omitempty" doc:"Why, for the audit."`
	Force  bool   `json:"force,omitempty" doc:"Also when its gate is not open."`
	DryRun bool   `json:"dry_run,omitempty" doc:"Only say what would be done."`
}

// TaintAuthorityRequest is about an authority that may be compromised.
type TaintAuthorityRequest struct {
	Reason   string     `json:"reason" doc:"Why."`
	Rate     float64    `json:"rate,omitempty" doc:"Certificates per second that are to be replaced; unset: chosen."`
	Deadline *time.Time `json:"deadline,omitempty" doc:"When all are to be replaced; unset: chosen."`
	DryRun   bool       `json:"dry_run,omitempty" doc:"Only say what would be done."`
}

// RevokeAuthorityRequest is about an authority that nobody is to trust.
type RevokeAuthorityRequest struct {
	Reason string `json:"reason" doc:"Why."`
	Force  bool   `json:"force,omitempty" doc:"Also when live certificates depend on it, whose holders are cut off."`
	DryRun bool   `json:"dry_run,omitempty" doc:"Only say what would be done."`
}

// CreateIncidentRequest says whose certificates are to be replaced.
type CreateIncidentRequest struct {
	Issuers  []string   `json:"issuers,omitempty" nullable:"false" doc:"Identifiers of intermediates; unset: the active one."`
	Reason   string     `json:"reason" doc:"Why."`
	Rate     float64    `json:"rate,omitempty" doc:"Certificates per second that are to be replaced; unset: chosen."`
	Deadline *time.Time `json:"deadline,omitempty" doc:"When all are to be replaced; unset: chosen."`
	DryRun   bool       `json:"dry_run,omitempty" doc:"Only say what would be done."`
}

// AuthorityOutcome is what a step did, or would do.
type AuthorityOutcome struct {
	DryRun     bool              `json:"dry_run,omitempty" doc:"Whether nothing was done."`
	Generation uint64            `json:"generation" doc:"Number of the generation of authorities that it made, or would make."`
	Changes    []AuthorityChange `json:"changes,omitempty" nullable:"false" doc:"What happens to authorities, in the order in which they were made."`
	Incident   *Incident         `json:"incident,omitempty" doc:"The incident that is declared; unset: none."`
	CutOff     int32             `json:"cut_off,omitempty" doc:"Live certificates that nobody has renewed and nobody accepts afterwards; unset: none."`
	Followers  int32             `json:"followers,omitempty" doc:"Of an activation: live certificates whose holders follow the bundle; unset: none."`
	Behind     int32             `json:"behind,omitempty" doc:"Of an activation: those of the followers that have not acknowledged the root; unset: none."`
	Objection  string            `json:"objection,omitempty" doc:"Why it is done with force only; unset: nothing stands against it."`
}

// AuthorityChange is what happens to one authority.
type AuthorityChange struct {
	Authority string `json:"authority,omitempty" doc:"Identifier; unset in a dry run for one that is yet to be made."`
	Role      string `json:"role" enum:"root,intermediate" doc:"What it is for."`
	From      string `json:"from,omitempty" doc:"State before; unset: it was not there."`
	To        string `json:"to" doc:"State afterwards."`
}

// Incident is a mass re-issue, and how far it has come.
type Incident struct {
	ID        string     `json:"id" doc:"Identifier; in a dry run, one that means nothing."`
	CreatedAt time.Time  `json:"created_at" doc:"When it was declared."`
	Actor     string     `json:"actor" doc:"Who declared it."`
	Reason    string     `json:"reason" doc:"Why."`
	Issuers   []string   `json:"issuers" nullable:"false" doc:"Identifiers of the intermediates whose certificates are replaced."`
	StartsAt  time.Time  `json:"starts_at" doc:"When the first certificate has its place."`
	Deadline  time.Time  `json:"deadline" doc:"When all are to be replaced. The places end at four fifths of the time."`
	Rate      float64    `json:"rate" doc:"Certificates per second."`
	Total     int32      `json:"total" doc:"Certificates that it was declared for."`
	ClosedAt  *time.Time `json:"closed_at,omitempty" doc:"When it ended; unset: it is open."`
	Replaced  int32      `json:"replaced,omitempty" doc:"Certificates that are replaced, or have expired; unset: none."`
	Left      int32      `json:"left,omitempty" doc:"Certificates that nobody has renewed yet; unset: none."`
	Overdue   int32      `json:"overdue,omitempty" doc:"Of these, by how many the pace is missed; unset: by none."`
	RateNow   float64    `json:"rate_now,omitempty" doc:"Certificates per second over the last minute; unset: none."`
	DoneAt    *time.Time `json:"done_at,omitempty" doc:"When nobody is left at that rate; unset: not known."`
}

// IncidentList is the latest incidents.
type IncidentList struct {
	Incidents []Incident `json:"incidents" nullable:"false" doc:"The newest first, at most a hundred."`
}
