package main

import (
	"crypto/x509"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/rotation"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
)

// progress shows an overview how far the rotation has come. It asks no database.
type progress struct {
	roles   *roles
	rotator *rotation.Rotator
	replica string // as in the lease
}

var _ server.Progress = progress{}

// Progress implements server.Progress.
func (p progress) Progress(now time.Time) *server.RotationProgress {
	gen := p.roles.generation.Load()
	if gen == nil {
		return nil
	}
	out := &server.RotationProgress{Replica: p.replica, Leader: p.rotator.Status().Leader}
	for _, r := range p.roles.Roles() {
		role := server.RoleProgress{Role: r.Role, Phase: r.Phase, Entered: r.Entered, Due: r.Due}
		if r.Deadline > 0 {
			role.Ends = r.Entered.Add(r.Deadline)
		}
		out.Roles = append(out.Roles, role)
	}
	gates := p.gates(gen, now)
	for i, row := range gen.Authorities {
		cert, err := x509.ParseCertificate(row.Certificate)
		if err != nil {
			return nil // no generation that was opened is like this
		}
		authority := server.AuthorityProgress{
			ID: row.ID, Role: ca.Role(row.Role), State: ca.State(row.State), ParentID: row.ParentID,
			NotBefore: cert.NotBefore, NotAfter: cert.NotAfter, StateSince: row.StateSince,
		}
		if gates != nil {
			g := &gates[i]
			authority.Waiting, authority.OpensAt = g.Waiting, g.OpensAt
			authority.Live, authority.Followers, authority.Behind = g.Live, g.Followers, g.Behind
		}
		out.Gates = append(out.Gates, authority)
	}
	return out
}

// gates is what the authorities wait for by what one replica has counted for all; nil without
// that: nothing counted is not the same as nothing left.
func (p progress) gates(gen *store.Generation, now time.Time) []rotation.Gate {
	figures := p.roles.fleet.Figures()
	if figures == nil || figures.Facts == nil {
		return nil
	}
	gates, err := rotation.Gates(gen, p.roles.policy, &rotation.Counts{Facts: *figures.Facts}, now)
	if err != nil {
		return nil // as for Roles
	}
	return gates
}
