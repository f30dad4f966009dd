package storetest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pando-ca/pando/store"
)

// newTokenKey is a reference to a key in a token.
func newTokenKey(name string) []byte {
	return []byte(store.TokenKeyPrefix + "id=" + name + ";object=" + rand.Text())
}

// withKeys is a generation with an authority for each key.
func withKeys(number uint64, keys ...[]byte) store.Generation {
	g := newGeneration(number)
	for at, key := range keys {
		g.Authorities = append(g.Authorities, store.Authority{
			ID: fmt.Sprint("a", at), Role: "intermediate", State: "active", Certificate: []byte{1}, Key: key, StateSince: Now(),
		})
	}
	return g
}

// wantDoomed reports other doomed keys than those that are wanted, after dooming the intents from
// before the given time.
func wantDoomed(t *testing.T, s store.KeyIntents, what string, before time.Time, want ...[]byte) {
	t.Helper()
	got, err := s.DoomKeyIntents(t.Context(), before)
	must(t, err)
	wantSame(t, what, texts(got), texts(want))
}

func texts(refs [][]byte) []string {
	all := []string{}
	for _, ref := range refs {
		all = append(all, string(ref))
	}
	return all
}

func testKeyIntents(t *testing.T, a, b Store) {
	ctx := t.Context()
	first, second, third := newTokenKey("1"), newTokenKey("2"), newTokenKey("3")
	for at, key := range [][]byte{third, second, first} {
		must(t, a.AddKeyIntent(ctx, key, Now().Add(-time.Duration(at)*time.Hour)))
	}
	wantError(t, "an intent twice", b.AddKeyIntent(ctx, first, Now()), store.ErrExists)
	wantDoomed(t, b, "before anything is old", time.Time{})
	replace(t, a, withKeys(1, second, []byte("sealed")))
	wantDoomed(t, b, "what is old", Now().Add(-time.Minute), first)
	must(t, b.DropKeyIntent(ctx, third)) // not doomed
	must(t, b.DropKeyIntent(ctx, second))
	for range 2 {
		must(t, b.DropKeyIntent(ctx, first))
	}
	wantDoomed(t, a, "after it was dropped", time.Time{})
	wantDoomed(t, a, "the last one", Now().Add(time.Hour), third)
}

func testKeyReleased(t *testing.T, a, b Store) {
	ctx := t.Context()
	kept, destroyed := newTokenKey("1"), newTokenKey("2")
	must(t, a.AddKeyIntent(ctx, kept, Now()))
	must(t, a.AddKeyIntent(ctx, destroyed, Now()))
	replace(t, a, withKeys(1, kept, destroyed, []byte("sealed")))
	wantDoomed(t, b, "while both are held", time.Time{})
	replace(t, b, withKeys(2, kept, []byte("sealed")))
	wantDoomed(t, a, "once one is not", time.Time{}, destroyed)
	replace(t, b, withKeys(3, kept))
	wantDoomed(t, a, "and with the next generation", time.Time{}, destroyed)
	err := a.ReplaceGeneration(ctx, 3, withKeys(4, kept, destroyed), store.Fence{})
	wantError(t, "a key that comes back", err, store.ErrConflict)
	wantNumber(t, b, 3)
	wantDoomed(t, a, "after that was refused", time.Time{}, destroyed)
	err = a.ReplaceGeneration(ctx, 2, withKeys(3), store.Fence{})
	wantError(t, "a replacement that loses", err, store.ErrConflict)
	wantDoomed(t, a, "after one that lost", time.Time{}, destroyed)
}

func testKeyDoomed(t *testing.T, a, b Store) {
	ctx := t.Context()
	key, unknown := newTokenKey("1"), newTokenKey("2")
	must(t, a.AddKeyIntent(ctx, key, Now()))
	_, err := b.DoomKeyIntents(ctx, Now().Add(time.Second))
	must(t, err)
	for name, ref := range map[string][]byte{"a doomed key": key, "a key of no intent": unknown} {
		wantError(t, name+" in a generation", a.ReplaceGeneration(ctx, 0, withKeys(1, ref), store.Fence{}), store.ErrConflict)
		wantError(t, name+" in a request", a.CreateAuthorityRequest(ctx, newRequest(ref), NewAudit("authority.request", "r")), store.ErrConflict)
	}
	_, err = a.AuthorityRequest(ctx, "intermediate")
	wantError(t, "a request that was refused", err, store.ErrNotFound)
	wantNumber(t, a, 0)
	wantDoomed(t, a, "after all", time.Time{}, key)
}

// testKeyRace has one replica hold keys while another one dooms them.
func testKeyRace(t *testing.T, a, b Store) {
	ctx := t.Context()
	var number uint64
	for n := range 20 {
		key := newTokenKey(fmt.Sprint(n))
		must(t, a.AddKeyIntent(ctx, key, Now()))
		var holds, dooms error
		var wait sync.WaitGroup
		wait.Go(func() { holds = a.ReplaceGeneration(ctx, number, withKeys(number+1, key), store.Fence{}) })
		wait.Go(func() { _, dooms = b.DoomKeyIntents(ctx, Now().Add(time.Second)) })
		wait.Wait()
		must(t, dooms)
		doomed, err := b.DoomKeyIntents(ctx, time.Time{})
		must(t, err)
		isDoomed := slices.Contains(texts(doomed), string(key))
		if holds != nil && !errors.Is(holds, store.ErrConflict) {
			t.Fatal(holds)
		}
		if isDoomed == (holds == nil) {
			t.Fatalf("round %d: held: %v, doomed: %t", n, holds, isDoomed)
		}
		if holds == nil {
			number++
		}
	}
}

func newRequest(key []byte) store.AuthorityRequest {
	return store.AuthorityRequest{Role: "intermediate", Key: key, CSR: []byte("csr"), CreatedAt: Now(), CreatedBy: "spiffe://example.org/pando/admin/a"}
}

func testAuthorityRequests(t *testing.T, a, b Store) {
	ctx := t.Context()
	audit := NewAudit("authority.request", "r")
	_, err := a.AuthorityRequest(ctx, "intermediate")
	wantError(t, "none yet", err, store.ErrNotFound)
	wantError(t, "deleting none", a.DeleteAuthorityRequest(ctx, "intermediate", Now(), audit), store.ErrNotFound)

	key := newTokenKey("1")
	must(t, a.AddKeyIntent(ctx, key, Now()))
	must(t, a.CreateAuthorityRequest(ctx, newRequest(key), audit))
	got, err := b.AuthorityRequest(ctx, "intermediate")
	must(t, err)
	wantSame(t, "request", *got, newRequest(key))
	wantError(t, "a second one", b.CreateAuthorityRequest(ctx, newRequest([]byte("sealed")), audit), store.ErrExists)
	wantDoomed(t, b, "while it is requested", Now().Add(time.Hour))

	must(t, b.DeleteAuthorityRequest(ctx, "intermediate", Now(), audit))
	wantDoomed(t, a, "once it is not", time.Time{}, key)
	must(t, a.CreateAuthorityRequest(ctx, newRequest([]byte("sealed")), audit))
	replace(t, b, withKeys(1, []byte("other")))
	_, err = a.AuthorityRequest(ctx, "intermediate")
	must(t, err)
	replace(t, b, withKeys(2, []byte("other"), []byte("sealed")))
	_, err = a.AuthorityRequest(ctx, "intermediate")
	wantError(t, "once a generation holds its key", err, store.ErrNotFound)

	again := newTokenKey("2")
	must(t, a.AddKeyIntent(ctx, again, Now()))
	must(t, a.CreateAuthorityRequest(ctx, newRequest(again), audit))
	replace(t, b, withKeys(3, []byte("other"), again))
	wantDoomed(t, a, "the key of the first one only", time.Time{}, key)
}
