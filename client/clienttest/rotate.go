package clienttest

import (
	"context"
	"fmt"
	"time"
)

// PrepareRoot makes a new root and publishes it: it is in the bundle, and signs nothing yet. It
// panics if one is prepared already.
func (c *CA) PrepareRoot() { c.change(c.prepareRoot) }

func (c *CA) prepareRoot() {
	if c.root(prepared) != nil {
		panic("clienttest: a root is prepared already")
	}
	c.roots = append(c.roots, c.newRoot(c.now()))
	c.sequence++
}

// ActivateRoot puts the prepared root to use, whoever has acknowledged it: what is issued from now
// on is under it, and carries a cross-certificate by the one before, which is retiring. It panics
// if none is prepared.
func (c *CA) ActivateRoot() { c.change(func() { c.activateRoot(retiring) }) }

// activateRoot leaves the root before in a state. The caller holds mu.
func (c *CA) activateRoot(before state) {
	old, next := c.root(active), c.root(prepared)
	if next == nil {
		panic("clienttest: no root is prepared")
	}
	old.state, next.state = before, active
	c.crossSign(next, old)
	c.newIssuer(c.now())
}

// RetireRoot takes every retiring root out of the bundle, whoever has a certificate under it. It
// panics if none is retiring.
func (c *CA) RetireRoot() {
	c.change(func() {
		if c.root(retiring) == nil {
			panic("clienttest: no root is retiring")
		}
		c.withdraw(retiring)
	})
}

// withdraw takes the roots in a state out of the bundle. The caller holds mu.
func (c *CA) withdraw(in state) {
	for _, root := range c.roots {
		if root.state == in {
			root.state = retired
		}
	}
	c.sequence++
	c.shown = nil // its chain may carry what nobody needs any more
}

// RotateRoot replaces the root as Pando does, and returns when it has: it prepares a new one; waits
// until every holder that follows has acknowledged it; activates it; waits until the last
// certificate under the old one has expired; and retires that. It takes a lifetime of the
// certificates, which in a bubble is no time. It returns the cause if ctx ends before.
func (c *CA) RotateRoot(ctx context.Context) error {
	c.PrepareRoot()
	if err := c.wait(ctx, c.behind); err != nil {
		return fmt.Errorf("the new root has not spread: %w", err)
	}
	c.ActivateRoot()
	if err := c.wait(ctx, c.underOld); err != nil {
		return fmt.Errorf("certificates under the old root are left: %w", err)
	}
	c.RetireRoot()
	return nil
}

// behind reports whether the holder of a live certificate follows, and has not acknowledged the
// current bundle. The caller holds mu.
func (c *CA) behind(r *record) bool {
	return !r.revoked && !r.superseded && r.acknowledged != 0 && r.acknowledged < c.sequence
}

// underOld reports whether a certificate is under a retiring root. The caller holds mu.
func (c *CA) underOld(r *record) bool { return r.issuer.parent.state == retiring }

// wait returns once no unexpired certificate, which is asked with mu held, is in the way; or when
// ctx ends, with its cause.
func (c *CA) wait(ctx context.Context, inTheWay func(*record) bool) error {
	for {
		left, changed := c.left(inTheWay)
		if left < 0 {
			return nil
		}
		timer := time.NewTimer(left + time.Millisecond)
		select {
		case <-timer.C:
		case <-changed:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
		timer.Stop()
	}
}

// left is how long until the last of some certificates has expired, negative if all have; and what
// is closed when there may be others.
func (c *CA) left(of func(*record) bool) (left time.Duration, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	left = -1
	now := c.now()
	for _, r := range c.records {
		if of(r) {
			left = max(left, r.leaf.NotAfter.Sub(now))
		}
	}
	return left, c.changed
}

// RotateIntermediate makes a new intermediate under the active root, which signs from now on. The
// bundle stays as it is.
func (c *CA) RotateIntermediate() { c.change(func() { c.newIssuer(c.now()) }) }

// TaintRoot declares that the key of the active root is known to others, as `pando authority taint`
// does: a successor is prepared and activated in the same moment, and every certificate under the
// old root is due for renewal at once. The old root stays in the bundle until [CA.RevokeTainted].
func (c *CA) TaintRoot() {
	c.change(func() {
		if c.root(prepared) == nil {
			c.prepareRoot()
		}
		old := c.root(active)
		c.activateRoot(tainted)
		c.due(func(r *record) bool { return r.issuer.parent == old })
	})
}

// TaintIntermediate does the same for the intermediate that signs.
func (c *CA) TaintIntermediate() {
	c.change(func() {
		old := c.issuer()
		old.state = tainted
		c.newIssuer(c.now())
		c.due(func(r *record) bool { return r.issuer == old })
	})
}

// RevokeTainted revokes what is tainted, whoever depends on it: no chain with its key is accepted
// any more, and tainted roots leave the bundle. It panics if nothing is tainted.
func (c *CA) RevokeTainted() {
	c.change(func() {
		count := len(c.revokedKeys)
		for _, issuer := range c.issuers {
			if issuer.state != retired && (issuer.state == tainted || issuer.parent.state == tainted) {
				issuer.state = retired
				c.revokedKeys = append(c.revokedKeys, issuer.keyHash())
			}
		}
		for _, root := range c.roots {
			if root.state == tainted {
				c.revokedKeys = append(c.revokedKeys, root.keyHash())
			}
		}
		if len(c.revokedKeys) == count {
			panic("clienttest: nothing is tainted")
		}
		if c.root(tainted) != nil {
			c.withdraw(tainted)
		}
	})
}
