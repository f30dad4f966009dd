package rotation_test

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/store"
)

// errInjected is a database that cannot be reached, or did not confirm.
var errInjected = fmt.Errorf("injected: %w", store.ErrUnavailable)

// modelStore obeys the contract of package store in memory, without a commit to wait for, so that
// a history of days takes milliseconds. That the databases obey the same contract is what
// storetest says. It belongs to one goroutine.
type modelStore struct {
	clock    func() time.Time // of the database
	replaced func(before, next *store.Generation, audits []store.Audit)

	gen       *store.Generation
	incidents []store.Incident
	lease     store.Lease
	records   map[int]*modelRecord // by serial
	acks      map[int]uint64       // acknowledged sequence, by serial
	serial    int
}

type modelRecord struct {
	issuer              string
	notBefore, notAfter time.Time
	replaces            int
	issuedAt            time.Time
}

func (s *modelStore) Generation(context.Context) (*store.Generation, error) {
	gen := *s.gen
	gen.Authorities = slices.Clone(s.gen.Authorities)
	gen.Incidents = slices.Clone(s.gen.Incidents)
	return &gen, nil
}

func (s *modelStore) ReplaceGeneration(_ context.Context, from uint64, next store.Generation, fence store.Fence, audits ...store.Audit) error {
	switch {
	case next.Number != from+1:
		return store.ErrInvalid
	case fence != (store.Fence{}) && (fence.Lease != s.lease.Name || fence.Term != s.lease.Term):
		return store.ErrFenced
	case s.gen.Number != from:
		return store.ErrConflict
	}
	before := s.gen
	for _, i := range next.Incidents {
		s.incidents = slices.DeleteFunc(s.incidents, func(old store.Incident) bool { return old.ID == i.ID })
		s.incidents = append(s.incidents, i)
	}
	next.Incidents = slices.DeleteFunc(slices.Clone(s.incidents), func(i store.Incident) bool { return !i.ClosedAt.IsZero() })
	s.gen = &next
	s.replaced(before, &next, audits)
	return nil
}

func (s *modelStore) AcquireLease(_ context.Context, name, holder string, ttl time.Duration) (store.Lease, error) {
	now := s.clock()
	if s.lease.Holder != holder {
		if now.Before(s.lease.ExpiresAt) {
			return store.Lease{}, store.ErrConflict
		}
		s.lease = store.Lease{Name: name, Holder: holder, Term: s.lease.Term + 1}
	}
	s.lease.ExpiresAt = now.Add(ttl)
	return s.lease, nil
}

func (s *modelStore) ReleaseLease(_ context.Context, lease store.Lease) error {
	if lease.Term == s.lease.Term && lease.Holder == s.lease.Holder {
		s.lease.Holder, s.lease.ExpiresAt = "", time.Time{}
	}
	return nil
}

func (s *modelStore) Facts(_ context.Context, now time.Time) (*store.Facts, error) {
	facts := &store.Facts{At: now, Issuers: make(map[string]store.IssuerFacts), Followers: make(map[uint64]int)}
	for serial, r := range s.records {
		if !r.notAfter.After(now) {
			continue
		}
		left := facts.Issuers[r.issuer]
		left.Live++
		left.Unexpired++
		if r.notAfter.After(left.NotAfter) {
			left.NotAfter = r.notAfter
		}
		facts.Issuers[r.issuer] = left
		if sequence, ok := s.acks[serial]; ok {
			facts.Followers[sequence]++
		}
	}
	return facts, nil
}

func (s *modelStore) Incidents(context.Context, int) ([]store.Incident, error) {
	return slices.Clone(s.incidents), nil
}

func (s *modelStore) Incident(_ context.Context, id string) (*store.Incident, error) {
	for _, i := range s.incidents {
		if i.ID == id {
			return &i, nil
		}
	}
	return nil, store.ErrNotFound
}

func (s *modelStore) Dependents(_ context.Context, f store.DependentsFilter) (map[string]store.Dependents, error) {
	f = f.Unbounded()
	renewed := make(map[int]time.Time)
	for _, r := range s.records {
		renewed[r.replaces] = r.issuedAt
	}
	found := make(map[string]store.Dependents)
	for serial, r := range s.records {
		if !slices.Contains(f.Issuers, r.issuer) || !r.notAfter.After(f.Now) || !r.issuedAt.Before(f.IssuedBefore) {
			continue
		}
		d := found[r.issuer]
		if at, ok := renewed[serial]; ok {
			if !at.Before(f.RenewedSince) {
				d.Renewed++
			}
		} else {
			d.Certificates++
			d.PerSecond += 1 / r.notAfter.Sub(r.notBefore).Seconds()
			if r.notAfter.After(d.NotAfter) {
				d.NotAfter = r.notAfter
			}
		}
		found[r.issuer] = d
	}
	return found, nil
}

// insert is an InsertBatch of one: it refuses what an inactive issuer signed.
func (s *modelStore) insert(r modelRecord) (int, error) {
	active := slices.ContainsFunc(s.gen.Authorities, func(a store.Authority) bool {
		return a.ID == r.issuer && a.State == string(ca.StateActive)
	})
	if !active {
		return 0, store.ErrIssuerInactive
	}
	s.serial++
	s.records[s.serial] = &r
	return s.serial, nil
}

func (s *modelStore) acknowledge(serial int, sequence uint64) {
	s.acks[serial] = max(s.acks[serial], sequence)
	delete(s.acks, s.records[serial].replaces)
}

// follows reports whether the holder of a certificate counts as following at now, by it or by
// the one that it replaced.
func (s *modelStore) follows(serial int, now time.Time) bool {
	for _, serial := range []int{serial, s.records[serial].replaces} {
		if r, acked := s.records[serial], s.acks[serial]; r != nil && acked > 0 && r.notAfter.After(now) {
			return true
		}
	}
	return false
}

// prune forgets what expired long ago.
func (s *modelStore) prune(before time.Time) {
	maps.DeleteFunc(s.records, func(serial int, r *modelRecord) bool {
		if r.notAfter.Before(before) {
			delete(s.acks, serial)
			return true
		}
		return false
	})
}

// modelKeys makes and opens keys as package keystore does. It remembers what it has made, so
// that the model can open what the rows hold; a row that loses its reference loses its key.
type modelKeys struct {
	made map[string]crypto.Signer // by reference
	make func(ca.KeyAlgorithm) crypto.Signer
}

func (k *modelKeys) Create(alg ca.KeyAlgorithm, label string) (crypto.Signer, []byte, error) {
	ref := fmt.Sprintf("%s #%d", label, len(k.made))
	k.made[ref] = k.make(alg)
	return k.made[ref], []byte(ref), nil
}

func (k *modelKeys) Open(ref []byte, label string) (crypto.Signer, error) {
	signer, ok := k.made[string(ref)]
	if !ok || len(ref) < len(label) || string(ref[:len(label)]) != label {
		return nil, errors.New("no such key under this label")
	}
	return signer, nil
}

// fault is what goes wrong with one call.
type fault int

const (
	faultNone   fault = iota
	faultBefore       // the call fails, and nothing happened
	faultAfter        // the call fails, and it happened
	faultPause        // the process is stopped for longer than its lease, and goes on
)

// unreliable is the store as one replica reaches it.
type unreliable struct {
	*modelStore
	draw  func(call string) fault
	pause func()
}

func (u *unreliable) try(call string, do func() error) error {
	switch u.draw(call) {
	case faultBefore:
		return errInjected
	case faultAfter:
		if err := do(); err != nil {
			return err
		}
		return errInjected
	case faultPause:
		u.pause()
	case faultNone:
	}
	return do()
}

func (u *unreliable) Generation(ctx context.Context) (gen *store.Generation, err error) {
	err = u.try("Generation", func() (err error) { gen, err = u.modelStore.Generation(ctx); return err })
	return gen, err
}

func (u *unreliable) Facts(ctx context.Context, now time.Time) (facts *store.Facts, err error) {
	err = u.try("Facts", func() (err error) { facts, err = u.modelStore.Facts(ctx, now); return err })
	return facts, err
}

func (u *unreliable) Dependents(ctx context.Context, f store.DependentsFilter) (found map[string]store.Dependents, err error) {
	err = u.try("Dependents", func() (err error) { found, err = u.modelStore.Dependents(ctx, f); return err })
	return found, err
}

func (u *unreliable) AcquireLease(ctx context.Context, name, holder string, ttl time.Duration) (lease store.Lease, err error) {
	err = u.try("AcquireLease", func() (err error) {
		lease, err = u.modelStore.AcquireLease(ctx, name, holder, ttl)
		return err
	})
	return lease, err
}

func (u *unreliable) ReplaceGeneration(ctx context.Context, from uint64, next store.Generation, fence store.Fence, audits ...store.Audit) error {
	return u.try("ReplaceGeneration", func() error { return u.modelStore.ReplaceGeneration(ctx, from, next, fence, audits...) })
}
