package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pando-ca/pando/store"
)

const racers = 50

// race inserts one row of each of many goroutines, half of them on each store, and returns
// the errors.
func race(t *testing.T, a, b Store, row func(n int) *store.Issuance) ([]*store.Issuance, []error) {
	t.Helper()
	rows, errs := make([]*store.Issuance, racers), make([]error, racers)
	start := make(chan struct{})
	var wait sync.WaitGroup
	for n := range racers {
		rows[n] = row(n)
		s := a
		if n%2 == 1 {
			s = b
		}
		wait.Go(func() {
			<-start
			result, err := s.InsertBatch(t.Context(), rows[n:n+1], Now())
			if err == nil {
				err = result[0]
			}
			errs[n] = err
		})
	}
	close(start)
	wait.Wait()
	return rows, errs
}

// wantOneWinner checks that one row was inserted and all others were refused with want.
func wantOneWinner(t *testing.T, s Store, rows []*store.Issuance, errs []error, want error) *store.Issuance {
	t.Helper()
	var winner *store.Issuance
	for n, err := range errs {
		switch {
		case err == nil && winner == nil:
			winner = rows[n]
		case err == nil:
			t.Error("there are two winners")
		default:
			wantError(t, "loser", err, want)
		}
	}
	if winner == nil {
		t.Fatal("there is no winner")
	}
	list, err := s.Records(t.Context(), store.RecordFilter{SPIFFEID: winner.SPIFFEID, Limit: 1000})
	must(t, err)
	if len(list) != 1 || list[0].Serial != winner.Serial {
		t.Errorf("%d records are left, want that of the winner", len(list))
	}
	return winner
}

func testTokenRace(t *testing.T, a, b Store) {
	token := addToken(t, a, "w")
	rows, errs := race(t, a, b, func(int) *store.Issuance { return withToken(token) })
	winner := wantOneWinner(t, a, rows, errs, store.ErrTokenUsed)
	got, err := b.Token(t.Context(), token.Hash)
	must(t, err)
	wantSame(t, "used by", got.UsedBy, winner.Serial)
	wantSame(t, "used key", got.UsedKey, winner.KeyHash)
}

func testReplayRace(t *testing.T, a, b Store) {
	rows, errs := race(t, a, b, func(int) *store.Issuance { return withJWT("issuer", "1") })
	wantOneWinner(t, a, rows, errs, store.ErrReplayed)
}

func testSerialRace(t *testing.T, a, b Store) {
	serial := NewIssuance("", Now()).Serial
	rows, errs := race(t, a, b, func(int) *store.Issuance {
		i := NewIssuance("spiffe://example.org/w", Now())
		i.Serial = serial
		return i
	})
	wantOneWinner(t, a, rows, errs, store.ErrSerialTaken)
}

// testCrossedCredentials lets two batches consume the same credentials in opposite order,
// again and again: each credential is consumed once, and no batch fails for the other.
func testCrossedCredentials(t *testing.T, a, b Store) {
	const rounds, size = 10, 20
	for round := range rounds {
		var forth, back []*store.Issuance
		for n := range size {
			id := fmt.Sprintf("%d-%d", round, n)
			forth = append(forth, withJWT("issuer", id))
			back = append([]*store.Issuance{withJWT("issuer", id)}, back...)
		}
		var won atomic.Int64
		var wait sync.WaitGroup
		for s, batch := range map[*[]*store.Issuance]Store{&forth: a, &back: b} {
			wait.Go(func() {
				errs, err := batch.InsertBatch(t.Context(), *s, Now())
				if err != nil {
					t.Errorf("InsertBatch: %v", err)
				}
				for _, err := range errs {
					if err == nil {
						won.Add(1)
						continue
					}
					wantError(t, "loser", err, store.ErrReplayed)
				}
			})
		}
		wait.Wait()
		if won.Load() != size {
			t.Fatalf("round %d: %d of %d credentials were consumed", round, won.Load(), size)
		}
	}
}

// refuseDuring runs insertions on both stores while refuse takes away what they need. Those
// that began after refuse has returned must fail with want; those before may go either way.
// It also checks that a row that was reported as inserted is there.
func refuseDuring(t *testing.T, a, b Store, row func() *store.Issuance, refuse func() error, want error) {
	t.Helper()
	const each = 40
	var refused atomic.Bool
	var wait sync.WaitGroup
	warm := make(chan struct{}, 8)
	for n := range 8 {
		s := a
		if n%2 == 1 {
			s = b
		}
		wait.Go(func() {
			for try := 0; try < each || !refused.Load(); try++ {
				i := row()
				after := refused.Load()
				errs, err := s.InsertBatch(t.Context(), []*store.Issuance{i}, Now())
				if err == nil {
					err = errs[0]
				}
				if err != nil || after {
					wantError(t, "insertion", err, want)
				}
				wantRecord(t, s, i.Serial, err == nil)
				if try == 0 {
					warm <- struct{}{}
				}
				if errors.Is(err, want) && after {
					return
				}
			}
		})
	}
	for range 8 {
		<-warm
	}
	if err := refuse(); err != nil {
		t.Errorf("refuse: %v", err)
	}
	refused.Store(true)
	wait.Wait()
}

func testRevocationRace(t *testing.T, a, b Store) {
	caller := NewIssuance("spiffe://example.org/w", Now())
	mustInsert(t, a, caller)
	refuseDuring(t, a, b, func() *store.Issuance {
		i := NewIssuance("spiffe://example.org/w", Now())
		i.CallerSerial = caller.Serial
		return i
	}, func() error {
		return a.Revoke(t.Context(), caller.Serial, Now(), 1, NewAudit("certificate.revoke", "r"))
	}, store.ErrCallerRevoked)
}

func testBlockRace(t *testing.T, a, b Store) {
	key := [32]byte{5}
	refuseDuring(t, a, b, func() *store.Issuance {
		i := NewIssuance("spiffe://example.org/w", Now())
		i.KeyHash = key
		return i
	}, func() error {
		return b.BlockKey(t.Context(), key, Now(), NewAudit("key.block", "k"))
	}, store.ErrKeyBlocked)
}

func testDeletionRace(t *testing.T, a, b Store) {
	must(t, a.CreateEntry(t.Context(), NewEntry("e", "spiffe://example.org/w"), NewAudit("entry.create", "e")))
	refuseDuring(t, a, b, func() *store.Issuance {
		i := NewIssuance("spiffe://example.org/w", Now())
		i.EntryID = "e"
		return i
	}, func() error {
		return a.DeleteEntry(t.Context(), "e", NewAudit("entry.delete", "e"))
	}, store.ErrEntryGone)
}

// testBulkRevocationRace: holders of an identity renew as fast as they can, each time with the
// certificate before, while the identity is revoked. Nothing of it is left.
func testBulkRevocationRace(t *testing.T, a, b Store) {
	const holders = 6
	ctx := t.Context()
	var wait sync.WaitGroup
	warm := make(chan struct{}, holders)
	for n := range holders {
		s := []Store{a, b}[n%2]
		wait.Go(func() {
			var held *store.Issuance
			for try := 0; ; try++ {
				next := of("spiffe://example.org/w", "i", byte(n), Now().Add(time.Duration(1+try%5)*time.Hour))
				if held != nil {
					next.Replaces, next.CallerSerial = held.Serial, held.Serial
				}
				errs, err := s.InsertBatch(ctx, []*store.Issuance{next}, Now())
				if err = errors.Join(append(errs, err)...); err != nil {
					if !errors.Is(err, store.ErrCallerRevoked) {
						t.Errorf("insert: %v", err)
					}
					return
				}
				if held = next; try == 3 {
					warm <- struct{}{}
				}
			}
		})
	}
	for range holders {
		<-warm
	}
	_, err := revokeAll(ctx, b, bulk(store.Selector{SPIFFEID: "spiffe://example.org/w"}))
	must(t, err)
	wait.Wait() // all of them are refused
	live, err := a.Records(ctx, store.RecordFilter{SPIFFEID: "spiffe://example.org/w", State: store.StateLive, Now: Now(), Limit: 10})
	must(t, err)
	if len(live) > 0 {
		t.Errorf("%d certificates are left", len(live))
	}
}

// testBulkKeyRace is testBlockRace for a key whose certificates are revoked.
func testBulkKeyRace(t *testing.T, a, b Store) {
	key := [32]byte{7}
	refuseDuring(t, a, b, func() *store.Issuance {
		return of("spiffe://example.org/w", "i", 7, Now().Add(time.Hour))
	}, func() error {
		_, err := revokeAll(t.Context(), a, bulk(store.Selector{KeyHash: key}))
		return err
	}, store.ErrKeyBlocked)
	wantCount(t, b, bulk(store.Selector{KeyHash: key}), store.Selected{})
}
