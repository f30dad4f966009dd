package main

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const overviewPath = "v1/overview"

// overviewJSON is a deployment at a glance, as the replica that answered knows it.
type overviewJSON struct {
	At          time.Time               `json:"at"`
	Replica     string                  `json:"replica,omitempty"`
	Leader      bool                    `json:"leader,omitempty"`
	TrustDomain string                  `json:"trust_domain"`
	Generation  uint64                  `json:"generation"`
	Sequence    uint64                  `json:"sequence"`
	Issuer      string                  `json:"issuer"`
	Issued      uint64                  `json:"issued,omitempty"`
	Roles       []roleOverviewJSON      `json:"roles,omitempty"`
	Authorities []authorityOverviewJSON `json:"authorities,omitempty"`
	CountedAt   time.Time               `json:"counted_at,omitzero"`
	Profiles    []profileOverviewJSON   `json:"profiles,omitempty"`
	Live        int32                   `json:"live,omitempty"`
	Recent      int32                   `json:"recent,omitempty"`
	Incidents   []incidentOverviewJSON  `json:"incidents,omitempty"`
	Overrides   []effectiveOverrideJSON `json:"overrides,omitempty"`
	Failing     []jobJSON               `json:"failing,omitempty"`
	LastBackup  time.Time               `json:"last_backup,omitzero"`
	Audit       []auditJSON             `json:"audit,omitempty"`
}

// roleOverviewJSON is how far the rotation of a role has come.
type roleOverviewJSON struct {
	Role      string    `json:"role"`
	Phase     string    `json:"phase"`
	EnteredAt time.Time `json:"entered_at,omitzero"`
	EndsAt    time.Time `json:"ends_at,omitzero"`
	DueAt     time.Time `json:"due_at,omitzero"`
}

// authorityOverviewJSON is an authority without its certificate.
type authorityOverviewJSON struct {
	ID         string    `json:"id"`
	Role       string    `json:"role"`
	State      string    `json:"state"`
	ParentID   string    `json:"parent_id,omitempty"`
	NotBefore  time.Time `json:"not_before"`
	NotAfter   time.Time `json:"not_after"`
	StateSince time.Time `json:"state_since,omitzero"`
	Waiting    string    `json:"waiting,omitempty"`
	OpensAt    time.Time `json:"opens_at,omitzero"`
	Live       int32     `json:"live,omitempty"`
	Followers  int32     `json:"followers,omitempty"`
	Behind     int32     `json:"behind,omitempty"`
}

// profileOverviewJSON is how many identities of a profile are in which state.
type profileOverviewJSON struct {
	Profile  string    `json:"profile"`
	Live     int32     `json:"live,omitempty"`
	Overdue  int32     `json:"overdue,omitempty"`
	Expired  int32     `json:"expired,omitempty"`
	Revoked  int32     `json:"revoked,omitempty"`
	Earliest time.Time `json:"earliest,omitzero"`
}

// incidentOverviewJSON is an open incident. Left is nil until somebody has counted.
type incidentOverviewJSON struct {
	ID       string    `json:"id"`
	StartsAt time.Time `json:"starts_at"`
	Deadline time.Time `json:"deadline"`
	Rate     float64   `json:"rate"`
	Total    int32     `json:"total"`
	Left     *int32    `json:"left,omitempty"`
}

// identities adds up the states over all profiles.
func (o *overviewJSON) identities() (sum profileOverviewJSON) {
	for _, p := range o.Profiles {
		sum.Live += p.Live
		sum.Overdue += p.Overdue
		sum.Expired += p.Expired
		sum.Revoked += p.Revoked
	}
	return sum
}

// overview asks for an overview with so many audit rows.
func (c *apiClient) overview(ctx context.Context, audit int) (*overviewJSON, error) {
	o := new(overviewJSON)
	query := url.Values{"audit": {strconv.Itoa(audit)}}
	err := c.call(ctx, apiRequest{method: http.MethodGet, path: overviewPath, query: query}, o)
	return o, err
}
