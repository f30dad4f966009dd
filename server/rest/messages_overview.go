package rest

import "time"

// Overview is a deployment at a glance, as the replica that answers knows it.
type Overview struct {
	At          time.Time               `json:"at" doc:"The time by the clock of that replica."`
	Replica     string                  `json:"replica,omitempty" doc:"Name of that replica; unset: not known."`
	Leader      bool                    `json:"leader,omitempty" doc:"Whether it leads the rotation."`
	TrustDomain string                  `json:"trust_domain" doc:"Name of the trust domain, without a scheme."`
	Generation  uint64                  `json:"generation" doc:"Number of the generation of authorities."`
	Sequence    uint64                  `json:"sequence" doc:"Sequence of the trust bundle."`
	Issuer      string                  `json:"issuer" doc:"ID of the active intermediate."`
	Issued      uint64                  `json:"issued,omitempty" doc:"Certificates that the replica has issued since it started; unset: none."`
	Roles       []RoleOverview          `json:"roles,omitempty" nullable:"false" doc:"How far the rotation of each role has come; unset: not known."`
	Authorities []AuthorityOverview     `json:"authorities,omitempty" nullable:"false" doc:"In the order in which they were made; unset: not known."`
	CountedAt   *time.Time              `json:"counted_at,omitempty" doc:"When the fleet was counted; unset: not known, and so are profiles, live and recent."`
	Profiles    []ProfileOverview       `json:"profiles,omitempty" nullable:"false" doc:"How the identities are, by profile."`
	Live        int32                   `json:"live,omitempty" doc:"Certificates that are neither expired nor revoked."`
	Recent      int32                   `json:"recent,omitempty" doc:"Of these, those that all replicas have issued in the minute before counted_at."`
	Incidents   []IncidentOverview      `json:"incidents,omitempty" nullable:"false" doc:"The open incidents."`
	Overrides   []EffectiveMTLSOverride `json:"overrides,omitempty" nullable:"false" doc:"The overrides in force, which let plaintext in."`
	Failing     []Job                   `json:"failing,omitempty" nullable:"false" doc:"Jobs of the replica whose last run failed."`
	LastBackup  *time.Time              `json:"last_backup,omitempty" doc:"When the last good backup was made; unset: none is known."`
	Audit       []AuditRow              `json:"audit,omitempty" nullable:"false" doc:"The latest changes, the newest first."`
}

// RoleOverview is how far the rotation of a role has come.
type RoleOverview struct {
	Role      string     `json:"role" enum:"root,intermediate" doc:"What it is for."`
	Phase     string     `json:"phase" enum:"signing,spreading,draining,replacing" doc:"spreading: a new root reaches those who verify; signing: nothing is under way; draining: what an earlier one has signed expires; replacing: what a tainted one has signed is replaced."`
	EnteredAt *time.Time `json:"entered_at,omitempty" doc:"When the phase began."`
	EndsAt    *time.Time `json:"ends_at,omitempty" doc:"When it is over at the latest, if all goes well; unset: it has no end, or that is not known."`
	DueAt     *time.Time `json:"due_at,omitempty" doc:"When the next step is due."`
}

// AuthorityOverview is an authority without its certificate.
type AuthorityOverview struct {
	ID         string     `json:"id" doc:"Identifier."`
	Role       string     `json:"role" enum:"root,intermediate" doc:"What it is for."`
	State      string     `json:"state" enum:"prepared,active,retiring,retired,tainted,revoked" doc:"Where it stands in its life."`
	ParentID   string     `json:"parent_id,omitempty" doc:"The authority that signed it; unset for a root."`
	NotBefore  time.Time  `json:"not_before" doc:"Start of the validity period."`
	NotAfter   time.Time  `json:"not_after" doc:"End of the validity period."`
	StateSince *time.Time `json:"state_since,omitempty" doc:"Since when it has the state."`
	Waiting    string     `json:"waiting,omitempty" doc:"What its next step waits for as of counted_at, for people."`
	OpensAt    *time.Time `json:"opens_at,omitempty" doc:"When its next step is taken at the latest; unset when that is not known."`
	Live       int32      `json:"live,omitempty" doc:"Of one that retires or is tainted: live certificates that it waits for."`
	Followers  int32      `json:"followers,omitempty" doc:"Of a prepared root: live certificates whose holders follow the bundle."`
	Behind     int32      `json:"behind,omitempty" doc:"Of a prepared root: those of the followers that have not acknowledged it."`
}

// ProfileOverview is how many identities there are, by the state of the newest certificate.
type ProfileOverview struct {
	Profile  string     `json:"profile" doc:"Name of the profile."`
	Live     int32      `json:"live,omitempty" doc:"Live ones; unset: none."`
	Overdue  int32      `json:"overdue,omitempty" doc:"Those past the end of the renewal window and unexpired; unset: none."`
	Expired  int32      `json:"expired,omitempty" doc:"Those that have expired of late; unset: none."`
	Revoked  int32      `json:"revoked,omitempty" doc:"Revoked ones; unset: none."`
	Earliest *time.Time `json:"earliest,omitempty" doc:"When the first of the newest certificates ends, of live and overdue ones; unset: there are none."`
}

// IncidentOverview is an open incident.
type IncidentOverview struct {
	ID       string    `json:"id" doc:"Identifier."`
	StartsAt time.Time `json:"starts_at" doc:"When the first certificate has its place."`
	Deadline time.Time `json:"deadline" doc:"When all are to be replaced."`
	Rate     float64   `json:"rate" doc:"Certificates per second that are to be replaced."`
	Total    int32     `json:"total" doc:"Certificates that it was declared for."`
	Left     *int32    `json:"left,omitempty" doc:"Certificates that nobody had renewed at counted_at; unset: not counted yet."`
}
