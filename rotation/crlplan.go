package rotation

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/store"
)

const (
	// crlValidity is for how many periods a list is good. When two publications in a row have
	// failed, half of them is left to find out why.
	crlValidity = 4
	// crlKeep is for how many periods after its end a certificate stays on the list, so that one
	// that is revoked in its last second has been on one.
	crlKeep = 2
	// resignRate is how many entries per second may be signed again because of changes, over all
	// lists: an eighth of a core. Up to some ten thousand entries in all it makes nobody wait.
	resignRate = 20_000
)

// CRLPolicy says when and where CRLs are published.
type CRLPolicy struct {
	// Period is how old a list may become. One that has changed is published without waiting
	// for it.
	Period time.Duration
	URLs   ca.URLs // of which CRL is the distribution point
}

// Validate returns an error unless a list of so short a period can be signed in whole seconds.
func (p CRLPolicy) Validate() error {
	if p.Period < time.Second {
		return fmt.Errorf("CRL policy: period %s is under one second", p.Period)
	}
	return p.URLs.Validate()
}

// CRLDue is a list that is to be published.
type CRLDue struct {
	Authority     string
	Shard, Shards int
	Last          store.CRL // the list that it replaces; Number 0: there is none
	Reason        string    // a sentence for the log
}

// PlanCRLs returns the lists that are due at now, the most urgent first: those that there are none
// of, those that have changed, those that grow old. It is pure.
//
// A change is published by the first plan after it, unless so much has been signed lately that
// signing again would keep the machine busy: then it waits until its last publication is as long ago
// as all entries take at [resignRate].
func PlanCRLs(gen *store.Generation, lists []store.CRL, p CRLPolicy, now time.Time) ([]CRLDue, error) {
	all, err := publishers(gen, now)
	if err != nil {
		return nil, fmt.Errorf("plan CRLs: generation %d: %w", gen.Number, err)
	}
	var missing, changed, old []CRLDue
	quiet := quietTime(lists)
	for _, a := range all {
		shards := p.shards(a)
		for shard := range shards {
			due := CRLDue{Authority: a.ID, Shard: shard, Shards: shards, Last: listOf(lists, a.ID, shard)}
			age := now.Sub(issued(&due.Last))
			switch {
			case due.Last.Number == 0:
				due.Reason = "there is none"
				missing = append(missing, due)
			case due.Last.Shards != shards:
				due.Reason = fmt.Sprintf("it is of %d shards, not %d", due.Last.Shards, shards)
				missing = append(missing, due)
			case a.outdates(&due.Last, gen) && (age < 0 || age >= quiet): // below 0, clocks differ
				due.Reason = "it has changed"
				changed = append(changed, due)
			case age >= p.Period:
				due.Reason = "a period has passed"
				old = append(old, due)
			}
		}
	}
	return slices.Concat(missing, changed, old), nil
}

// publishers are the authorities that publish a CRL: those that are in use and whose key was not
// destroyed and is not kept elsewhere. A root begins when it is prepared, so that its list is there
// before it is needed.
func publishers(gen *store.Generation, now time.Time) ([]*authority, error) {
	var all []*authority
	for _, row := range gen.Authorities {
		if !ca.State(row.State).Published() || len(row.Key) == 0 {
			continue
		}
		cert, err := x509.ParseCertificate(row.Certificate)
		if err != nil {
			return nil, fmt.Errorf("authority %s: %w", row.ID, err)
		}
		if now.Before(cert.NotAfter) {
			all = append(all, &authority{Authority: row, cert: cert})
		}
	}
	return all, nil
}

// shards is how many lists an authority publishes. Without a URL that tells them apart, a list is
// complete or wrong.
func (p CRLPolicy) shards(a *authority) int {
	if a.Role == string(ca.RoleRoot) || p.URLs.CRL == "" {
		return 1
	}
	return max(a.CRLShards, 1)
}

// distributionPoint is the URL in a list, empty for one that is complete by itself. The list of a
// root has none: it is complete, and it is asked about the root's own certificate too, which has
// no distribution point (openssl verify -crl_check_all).
func (p CRLPolicy) distributionPoint(a *authority, shard int) string {
	if a.Role == string(ca.RoleRoot) {
		return ""
	}
	return p.URLs.DistributionPoint(a.ID, shard)
}

// outdates reports whether an authority has revoked something that a list does not cover.
func (a *authority) outdates(list *store.CRL, gen *store.Generation) bool {
	if a.Role == string(ca.RoleRoot) {
		return list.Covers != gen.Number
	}
	return list.Changed
}

// issued is when a list was published, by the clock of the replica that did.
func issued(list *store.CRL) time.Time { return list.ThisUpdate.Add(ca.MaxSkew) }

// quietTime is how long all entries take at resignRate.
func quietTime(lists []store.CRL) time.Duration {
	entries := 0
	for i := range lists {
		entries += lists[i].Entries
	}
	return time.Duration(entries) * time.Second / resignRate
}

// listOf is the list of a shard among lists in the order of the store; the zero CRL if there is none.
func listOf(lists []store.CRL, authority string, shard int) store.CRL {
	at, found := slices.BinarySearchFunc(lists, store.CRL{Authority: authority, Shard: shard}, func(a, b store.CRL) int {
		return cmp.Or(cmp.Compare(a.Authority, b.Authority), cmp.Compare(a.Shard, b.Shard))
	})
	if !found {
		return store.CRL{}
	}
	return lists[at]
}

// times of a list that is published at now, after last. It begins earlier, for verifiers whose
// clocks are slow, and never before the list that it replaces.
func (p CRLPolicy) times(last *store.CRL, now time.Time) (thisUpdate, nextUpdate time.Time) {
	thisUpdate = later(now.Add(-ca.MaxSkew).UTC().Truncate(time.Second), last.ThisUpdate)
	return thisUpdate, thisUpdate.Add(ca.MaxSkew + crlValidity*p.Period).Truncate(time.Second)
}

// nextNumber is the number of a list that is published at now, after the one with number last. It follows the
// clock, so that it increases too after an older state of the database has been restored.
func nextNumber(last uint64, now time.Time) uint64 { return max(last+1, uint64(max(now.Unix(), 0))) }

// keeps reports whether a certificate that ends at notAfter is still to be on a list at now.
func (p CRLPolicy) keeps(notAfter, now time.Time) bool {
	return !now.After(notAfter.Add(p.KeepRevocations()))
}

// KeepRevocations is how long after the end of its certificate a revocation is needed.
func (p CRLPolicy) KeepRevocations() time.Duration { return crlKeep * p.Period }
