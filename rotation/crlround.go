package rotation

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/store"
)

// reasonCACompromise is the reason for which an authority is revoked (RFC 5280, section 5.3.1).
const reasonCACompromise = 2

// crlRound is one round of publications under the lease.
type crlRound struct {
	*Publisher
	lease       store.Lease
	gen         *store.Generation
	authorities map[string]*authority
	signers     map[string]crypto.Signer // opened so far
	now         time.Time
}

// round publishes what is due under the lease: what another replica has published meanwhile no
// longer is.
func (p *Publisher) round(ctx context.Context, lease store.Lease, now time.Time) error {
	gen, due, err := p.look(ctx, now)
	if err != nil || len(due) == 0 {
		return err
	}
	all, err := publishers(gen, now)
	if err != nil {
		return err
	}
	r := crlRound{
		Publisher: p, lease: lease, gen: gen, now: now,
		authorities: make(map[string]*authority), signers: make(map[string]crypto.Signer),
	}
	for _, a := range all {
		r.authorities[a.ID] = a
	}
	return r.publishAll(ctx, due)
}

// publishAll publishes lists one after the other, so that no more than one is in memory. After
// a failure it leaves the other shards of that authority alone.
func (r *crlRound) publishAll(ctx context.Context, due []CRLDue) error {
	var failures []error
	failed := make(map[string]bool)
	for _, d := range due {
		if failed[d.Authority] {
			continue
		}
		err := r.publish(ctx, d)
		switch {
		case err == nil:
		case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrFenced):
			r.cfg.Log.WarnContext(ctx, "CRL not published: another replica was first", "authority", d.Authority, "shard", d.Shard, "error", err)
			return errors.Join(failures...)
		case ctx.Err() != nil:
			return err
		default:
			failed[d.Authority] = true
			failures = append(failures, fmt.Errorf("shard %d of authority %s: %w", d.Shard, d.Authority, err))
		}
	}
	return errors.Join(failures...)
}

// publish makes one list and writes it.
func (r *crlRound) publish(ctx context.Context, d CRLDue) error {
	// So that the lease does not run out while many lists are signed.
	if _, err := r.cfg.Store.AcquireLease(ctx, r.lease.Name, r.lease.Holder, r.cfg.LeaseTTL); err != nil {
		return fmt.Errorf("prolong lease: %w", err)
	}
	list, covers, err := r.sign(ctx, d)
	if err != nil {
		return err
	}
	next := store.CRL{
		Authority: d.Authority, Shard: d.Shard, Shards: d.Shards, Number: list.Number.Uint64(),
		ThisUpdate: list.ThisUpdate, NextUpdate: list.NextUpdate,
		Entries: len(list.RevokedCertificateEntries), Covers: covers, DER: list.Raw,
	}
	// This is the commit point. If we crash before, the list before stands.
	if err := r.cfg.Store.ReplaceCRL(ctx, d.Last.Number, next, r.lease.Fence()); err != nil {
		return err
	}
	r.cfg.Log.InfoContext(ctx, "CRL published", "authority", next.Authority, "shard", next.Shard,
		"number", next.Number, "entries", next.Entries, "reason", d.Reason)
	return nil
}

// sign makes one list, and says which changes it knows of.
func (r *crlRound) sign(ctx context.Context, d CRLDue) (list *x509.RevocationList, covers uint64, err error) {
	a := r.authorities[d.Authority]
	signer := r.signers[a.ID]
	if signer == nil {
		if signer, err = r.maker.open(a); err != nil {
			return nil, 0, err
		}
		r.signers[a.ID] = signer
	}
	cfg := ca.CRLConfig{
		Issuer: a.cert, Signer: signer, DistributionPoint: r.cfg.Policy.distributionPoint(a, d.Shard),
		Number: nextNumber(d.Last.Number, r.now),
	}
	cfg.ThisUpdate, cfg.NextUpdate = r.cfg.Policy.times(&d.Last, r.now)
	if a.Role == string(ca.RoleRoot) {
		cfg.Entries, err = r.authorityEntries(a, cfg.ThisUpdate)
		covers = r.gen.Number
	} else {
		cfg.Entries, covers, err = r.leafEntries(ctx, d, cfg.ThisUpdate)
	}
	if err != nil {
		return nil, 0, err
	}
	list, err = ca.NewCRL(cfg)
	return list, covers, err
}

// leafEntries are the revoked leaves of a shard.
func (r *crlRound) leafEntries(ctx context.Context, d CRLDue, thisUpdate time.Time) (entries []ca.CRLEntry, covers uint64, err error) {
	covers = d.Last.Covers
	entries = make([]ca.CRLEntry, 0, d.Last.Entries)
	query := store.ShardQuery{Authority: d.Authority, Shard: d.Shard, Shards: d.Shards}
	err = r.cfg.Store.EachRevoked(ctx, query, func(revoked store.Revocation) {
		covers = max(covers, revoked.Seq)
		if r.cfg.Policy.keeps(revoked.NotAfter, r.now) {
			entries = append(entries, ca.CRLEntry{
				Serial: ca.Serial(revoked.Serial).Int(), RevokedAt: earlier(revoked.RevokedAt, thisUpdate), Reason: revoked.Reason,
			})
		}
	})
	return entries, covers, err
}

// authorityEntries are the revoked certificates that a root has signed: of intermediates, and the
// cross-certificate of another root.
func (r *crlRound) authorityEntries(root *authority, thisUpdate time.Time) ([]ca.CRLEntry, error) {
	var entries []ca.CRLEntry
	for _, row := range r.gen.Authorities {
		var der []byte
		switch {
		case row.State != string(ca.StateRevoked):
			continue
		case row.ParentID == root.ID:
			der = row.Certificate
		case row.CrossParentID == root.ID:
			der = row.CrossCertificate
		default:
			continue
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("authority %s: %w", row.ID, err)
		}
		if r.cfg.Policy.keeps(cert.NotAfter, r.now) {
			entries = append(entries, ca.CRLEntry{
				Serial: cert.SerialNumber, RevokedAt: earlier(row.StateSince, thisUpdate), Reason: reasonCACompromise,
			})
		}
	}
	return entries, nil
}
