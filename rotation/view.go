package rotation

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/store"
)

// authority is a row and what its certificate says.
type authority struct {
	store.Authority
	cert *x509.Certificate
}

func (a *authority) is(role ca.Role, state ca.State) bool {
	return a.Role == string(role) && a.State == string(state)
}

// has reports whether the authority is in one of the states.
func (a *authority) has(states ...ca.State) bool { return slices.Contains(states, ca.State(a.State)) }

// view is a generation as decisions need it. It is read-only.
type view struct {
	gen *store.Generation
	all []*authority // in the order of the generation

	root   *authority // the active one
	issuer *authority // the active intermediate
	next   *authority // the prepared root, nil if none
}

// look reads a generation. It refuses one that no set of transitions leads to.
func look(gen *store.Generation) (*view, error) {
	v := &view{gen: gen}
	for _, row := range gen.Authorities {
		cert, err := x509.ParseCertificate(row.Certificate)
		if err != nil {
			return nil, fmt.Errorf("authority %s: %w", row.ID, err)
		}
		a := &authority{Authority: row, cert: cert}
		v.all = append(v.all, a)
		if err := v.seat(a); err != nil {
			return nil, err
		}
	}
	if v.root == nil || v.issuer == nil {
		return nil, errors.New("there is no active root or no active intermediate")
	}
	return v, nil
}

// seat notes an authority of which there may be only one.
func (v *view) seat(a *authority) error {
	var place **authority
	switch {
	case a.is(ca.RoleRoot, ca.StateActive):
		place = &v.root
	case a.is(ca.RoleIntermediate, ca.StateActive):
		place = &v.issuer
	case a.is(ca.RoleRoot, ca.StatePrepared):
		place = &v.next
	default:
		return nil
	}
	if *place != nil {
		return fmt.Errorf("authorities %s and %s are both %s", (*place).ID, a.ID, a.State)
	}
	*place = a
	return nil
}

// any reports whether an authority has this property.
func (v *view) any(has func(*authority) bool) bool { return slices.ContainsFunc(v.all, has) }

// byID returns the authority with this ID, nil if there is none.
func (v *view) byID(id string) *authority {
	at := slices.IndexFunc(v.all, func(a *authority) bool { return a.ID == id })
	if at < 0 {
		return nil
	}
	return v.all[at]
}

// under reports whether an intermediate of this root has one of the states.
func (v *view) under(root *authority, states ...ca.State) bool {
	return v.any(func(a *authority) bool { return a.ParentID == root.ID && a.has(states...) })
}

// path is the roots before this one that verifiers may still hold alone, the latest first: chains
// lead to them by cross-certificates, from each to the one before.
func (v *view) path(root *authority) []*authority {
	var path []*authority
	for {
		before := v.byID(root.CrossParentID)
		if before == nil || !before.has(ca.StateRetiring, ca.StateTainted) || len(path) == len(v.all) {
			return path
		}
		path = append(path, before)
		root = before
	}
}

// leansOn is the IDs of the intermediates whose leaves need this authority: those that it signed,
// and of a root that chains lead through, those of the roots before it. The holders of the
// latter may know nothing later than these. What is revoked has cut its leaves off already.
func (v *view) leansOn(a *authority) []string {
	if a.Role == string(ca.RoleIntermediate) {
		return []string{a.ID}
	}
	roots := []*authority{a}
	path := append([]*authority{v.root}, v.path(v.root)...)
	if at := slices.Index(path, a); at >= 0 {
		roots = path[at:]
	}
	var issuers []string
	for _, i := range v.all {
		if !i.has(ca.StateRevoked) && slices.ContainsFunc(roots, func(root *authority) bool { return root.ID == i.ParentID }) {
			issuers = append(issuers, i.ID)
		}
	}
	return issuers
}

// offline reports whether the key of the active root is kept elsewhere. Then Pando makes neither
// an intermediate nor a root by itself: who keeps a root offline wants no other one.
func (v *view) offline() bool { return len(v.root.Key) == 0 }

// imported is the intermediate that came with a prepared root; nil if there is none.
func (v *view) imported(root *authority) *authority {
	for _, a := range v.all {
		if a.ParentID == root.ID && a.is(ca.RoleIntermediate, ca.StatePrepared) {
			return a
		}
	}
	return nil
}

// canIssue reports whether a prepared root has, or can sign, an intermediate.
func (v *view) canIssue(root *authority) bool { return len(root.Key) > 0 || v.imported(root) != nil }

// retiringRoot reports whether a root before the active one has not retired yet.
func (v *view) retiringRoot() bool {
	return v.any(func(a *authority) bool { return a.is(ca.RoleRoot, ca.StateRetiring) })
}

// earlierInUse reports whether some verifiers may still hold nothing but a root before the active
// one.
func (v *view) earlierInUse(counts *Counts) bool {
	return v.retiringRoot() || v.any(func(a *authority) bool {
		// One that is tainted waits for a person, for whom the others do not.
		return a.is(ca.RoleRoot, ca.StateTainted) && slices.ContainsFunc(v.leansOn(a), func(issuer string) bool {
			return counts.Issuers[issuer].Unexpired > 0
		})
	})
}

// canSucceed reports whether an intermediate that the active root signs now covers a leaf. One that
// does not would only be replaced again.
func (v *view) canSucceed(p Policy, now time.Time) bool {
	end := earlier(now.Add(p.IntermediateLifetime), v.root.cert.NotAfter)
	return !end.Before(now.Add(p.cover()))
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
