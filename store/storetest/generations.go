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

// newGeneration is a generation with a cross-certified root for each ID.
func newGeneration(number uint64, authorities ...string) store.Generation {
	g := store.Generation{
		Number: number, TrustDomain: "example.org", Sequence: number + 10,
		PublishedAt: Now().Add(time.Duration(number) * time.Hour), WindowKey: []byte{1, byte(number)},
	}
	for at, id := range authorities {
		g.Authorities = append(g.Authorities, store.Authority{
			ID: id, Role: "root", State: "active", ParentID: "p", Certificate: []byte("c" + id),
			Key: []byte("k" + id), StateSince: Now(),
			CrossParentID: "x" + id, CrossCertificate: []byte("xc" + id), Sequence: number + uint64(at), CRLShards: at + 1,
		})
	}
	return g
}

// withStates is a generation with an intermediate in each state, by ID.
func withStates(number uint64, states map[string]string) store.Generation {
	g := newGeneration(number)
	for id, state := range states {
		g.Authorities = append(g.Authorities, store.Authority{ID: id, Role: "intermediate", State: state, Certificate: []byte{1}, Key: []byte{2}, StateSince: Now()})
	}
	return g
}

// replace makes next the current generation.
func replace(t *testing.T, s store.Generations, next store.Generation) {
	t.Helper()
	must(t, s.ReplaceGeneration(t.Context(), next.Number-1, next, store.Fence{}, NewAudit("generation.replace", "g")))
}

func testGenerations(t *testing.T, a, b Store) {
	ctx := t.Context()
	_, err := a.Generation(ctx)
	wantError(t, "no generation yet", err, store.ErrNotFound)
	wantNumber(t, a, 0)
	audit := NewAudit("generation.replace", "g")
	swap := func(what string, from uint64, next store.Generation, want error) {
		t.Helper()
		wantError(t, what, a.ReplaceGeneration(ctx, from, next, store.Fence{}, audit), want)
		current, err := b.Generation(ctx)
		if want == nil {
			must(t, err)
			wantSame(t, what, *current, next)
			wantNumber(t, b, next.Number)
		}
	}
	swap("second before first", 1, newGeneration(2, "x"), store.ErrConflict)
	swap("first", 0, newGeneration(1, "z", "a"), nil)
	swap("first again", 0, newGeneration(1, "y"), store.ErrConflict)
	second := newGeneration(2, "a", "z", "m")
	destroyed := &second.Authorities[1]
	destroyed.Key, destroyed.CrossParentID, destroyed.CrossCertificate = nil, "", nil
	swap("second", 1, second, nil)
	swap("second again", 1, newGeneration(2, "x"), store.ErrConflict)
	swap("a number that is left out", 2, newGeneration(4), store.ErrInvalid)
	swap("without authorities", 2, newGeneration(3), nil)
	wantError(t, "an authority twice", a.ReplaceGeneration(ctx, 3, newGeneration(4, "a", "a"), store.Fence{}, audit), store.ErrExists)
	current, err := b.Generation(ctx)
	must(t, err)
	wantSame(t, "after all", *current, newGeneration(3))
}

func wantNumber(t *testing.T, s store.Generations, want uint64) {
	t.Helper()
	number, err := s.GenerationNumber(t.Context())
	must(t, err)
	wantSame(t, "number", number, want)
}

func testGenerationRace(t *testing.T, a, b Store) {
	ctx := t.Context()
	for from := range uint64(3) {
		var won atomic.Int64
		var wait sync.WaitGroup
		for n := range 10 {
			s := []Store{a, b}[n%2]
			wait.Go(func() {
				err := s.ReplaceGeneration(ctx, from, newGeneration(from+1, fmt.Sprint(n)), store.Fence{}, NewAudit("generation.replace", "g"))
				if err == nil {
					won.Add(1)
					return
				}
				wantError(t, "loser", err, store.ErrConflict)
			})
		}
		wait.Wait()
		if won.Load() != 1 {
			t.Errorf("%d replacements of generation %d, want 1", won.Load(), from)
		}
		current, err := b.Generation(ctx)
		must(t, err)
		if len(current.Authorities) != 1 || current.Number != from+1 {
			t.Errorf("generation %d with %d authorities, want %d with 1", current.Number, len(current.Authorities), from+1)
		}
	}
	audits, err := a.Audits(ctx, store.AuditFilter{Limit: 10})
	must(t, err)
	if len(audits) != 3 {
		t.Errorf("%d audit rows, want 3", len(audits))
	}
}

func testGenerationAudits(t *testing.T, a, b Store) {
	ctx := t.Context()
	must(t, a.ReplaceGeneration(ctx, 0, newGeneration(1), store.Fence{}))
	must(t, a.ReplaceGeneration(ctx, 1, newGeneration(2), store.Fence{}, NewAudit("authority.retire", "i"), NewAudit("authority.activate", "j")))
	wantError(t, "lost", a.ReplaceGeneration(ctx, 1, newGeneration(2), store.Fence{}, NewAudit("authority.retire", "i")), store.ErrConflict)
	audits, err := b.Audits(ctx, store.AuditFilter{Limit: 10})
	must(t, err)
	var actions []string
	for _, audit := range audits {
		actions = append(actions, audit.Action)
	}
	wantSame(t, "audit rows", actions, []string{"authority.activate", "authority.retire"})
}

// by is an issuance that an authority has signed.
func by(issuer string) *store.Issuance {
	i := NewIssuance("spiffe://example.org/w", Now())
	i.Issuer = issuer
	return i
}

func testIssuerInactive(t *testing.T, a, b Store) {
	mustInsert(t, b, by("no generation judges it"))
	replace(t, a, newGeneration(1))
	wantError(t, "a generation without authorities", insert(t, b, by("i")), store.ErrIssuerInactive)

	states := make(map[string]string)
	for _, state := range []string{"prepared", "active", "retiring", "retired", "tainted", "revoked"} {
		states["i-"+state] = state
	}
	replace(t, a, withStates(2, states))
	revoked := by("i-active")
	mustInsert(t, b, revoked)
	must(t, a.Revoke(t.Context(), revoked.Serial, Now(), 1, NewAudit("certificate.revoke", "r")))
	both := by("i-retiring")
	both.CallerSerial = revoked.Serial
	taken := by("i-retiring")
	taken.Serial = revoked.Serial

	batch := []*store.Issuance{by("i-unknown"), both, taken}
	want := []error{store.ErrIssuerInactive, store.ErrCallerRevoked, store.ErrIssuerInactive}
	for id, state := range states {
		batch = append(batch, by(id))
		if state == "active" {
			want = append(want, nil)
		} else {
			want = append(want, store.ErrIssuerInactive)
		}
	}
	errs, err := b.InsertBatch(t.Context(), batch, Now())
	must(t, err)
	for at, i := range batch {
		if !errors.Is(errs[at], want[at]) {
			t.Errorf("row %d, issuer %s: error %v, want %v", at, i.Issuer, errs[at], want[at])
		}
		wantRecord(t, a, i.Serial, want[at] == nil || i == taken)
	}
}

func testIssuerKeepsCredential(t *testing.T, a, b Store) {
	token := addToken(t, a, "w")
	replace(t, a, withStates(1, map[string]string{"old": "retiring", "new": "active"}))
	for _, row := range []*store.Issuance{withToken(token), withJWT("issuer", "1")} {
		row.Issuer = "old"
		wantError(t, row.Method+" under the old issuer", insert(t, b, row), store.ErrIssuerInactive)
		row.Issuer = "new"
		wantError(t, row.Method+" signed again", insert(t, b, row), nil)
		again := *row
		again.Serial, again.Issuer = NewSerial(row.NotAfter), "old"
		want := map[string]error{"join_token": store.ErrTokenUsed, "jwt": store.ErrReplayed}[row.Method]
		wantError(t, row.Method+" that is used, under the old issuer", insert(t, b, &again), want)
	}
}

func testIssuerRace(t *testing.T, a, b Store) {
	replace(t, a, withStates(1, map[string]string{"i": "active"}))
	refuseDuring(t, a, b, func() *store.Issuance { return by("i") }, func() error {
		next := withStates(2, map[string]string{"i": "retiring", "j": "active"})
		return a.ReplaceGeneration(t.Context(), 1, next, store.Fence{}, NewAudit("authority.activate", "j"))
	}, store.ErrIssuerInactive)
	mustInsert(t, b, by("j"))
}
