package main

import (
	"sync/atomic"

	"github.com/pando-ca/pando/rotation"
	"github.com/pando-ca/pando/server/metrics"
	"github.com/pando-ca/pando/store"
)

// roles shows the metrics how far the rotation has come: by the generation that this replica uses and
// by what one replica has counted for all, so that it is equal on all of them.
type roles struct {
	generation atomic.Pointer[store.Generation] // the one that was opened last; nil before the first
	policy     rotation.Policy
	fleet      metrics.Fleet
}

var _ metrics.Roles = (*roles)(nil)

// Roles implements metrics.Roles.
func (r *roles) Roles() []rotation.RoleStatus {
	gen := r.generation.Load()
	if gen == nil {
		return nil
	}
	var facts *store.Facts
	if figures := r.fleet.Figures(); figures != nil {
		facts = figures.Facts
	}
	all, err := rotation.Roles(gen, r.policy, facts)
	if err != nil {
		return nil // no generation that was opened is like this: the rotation itself says so
	}
	return all
}
