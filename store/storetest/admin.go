package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pando-ca/pando/store"
)

func testEntries(t *testing.T, a, b Store) {
	ctx := t.Context()
	var all []store.Entry
	for n := range 7 {
		e := NewEntry(fmt.Sprintf("e%d", n), fmt.Sprintf("spiffe://example.org/%d", n%2))
		if n%3 == 0 {
			e.Method, e.Issuer = "jwt", "kubernetes"
			e.Claims = map[string]string{"sub": "a", "/kubernetes.io/namespace": "b\"c'd"}
			e.DNSNames = nil
		}
		e.PreRenew, e.Watch = n%2 == 1, n%3 == 1
		all = append(all, e)
	}
	for n := range all { // not in the order of listing
		must(t, a.CreateEntry(ctx, all[len(all)-1-n], NewAudit("entry.create", "e")))
	}
	wantError(t, "an ID twice", b.CreateEntry(ctx, all[0], NewAudit("entry.create", "e")), store.ErrExists)
	for _, want := range all {
		got, err := b.Entry(ctx, want.ID)
		must(t, err)
		wantSame(t, "entry", *got, want)
	}
	_, err := b.Entry(ctx, "none")
	wantError(t, "unknown entry", err, store.ErrNotFound)
	for name, test := range map[string]struct {
		filter store.EntryFilter
		want   []store.Entry
	}{
		"all":                {store.EntryFilter{Limit: 1000}, all},
		"a page":             {store.EntryFilter{Limit: 2, After: "e1"}, all[2:4]},
		"past the end":       {store.EntryFilter{Limit: 2, After: "e6"}, nil},
		"by identity":        {store.EntryFilter{Limit: 9, SPIFFEID: "spiffe://example.org/1"}, []store.Entry{all[1], all[3], all[5]}},
		"by method":          {store.EntryFilter{Limit: 9, Method: "jwt"}, []store.Entry{all[0], all[3], all[6]}},
		"by both":            {store.EntryFilter{Limit: 9, Method: "jwt", SPIFFEID: "spiffe://example.org/1"}, []store.Entry{all[3]}},
		"of no such method":  {store.EntryFilter{Limit: 9, Method: "none"}, nil},
		"pre-renewed":        {store.EntryFilter{Limit: 9, PreRenew: true}, []store.Entry{all[1], all[3], all[5]}},
		"watched":            {store.EntryFilter{Limit: 9, Watch: true}, []store.Entry{all[1], all[4]}},
		"by method, a page ": {store.EntryFilter{Limit: 1, Method: "jwt", After: "e0"}, all[3:4]},
	} {
		got, err := b.Entries(ctx, test.filter)
		must(t, err)
		if len(got) == 0 {
			got = nil
		}
		wantSame(t, name, got, test.want)
	}
	must(t, b.DeleteEntry(ctx, "e2", NewAudit("entry.delete", "e2")))
	_, err = a.Entry(ctx, "e2")
	wantError(t, "deleted entry", err, store.ErrNotFound)
	wantError(t, "deleted twice", a.DeleteEntry(ctx, "e2", NewAudit("entry.delete", "e2")), store.ErrNotFound)
}

func testEntryVersion(t *testing.T, a, b Store) {
	ctx := t.Context()
	seen := map[uint64]bool{}
	look := func(fresh bool) {
		t.Helper()
		version, err := a.EntryVersion(ctx)
		must(t, err)
		if seen[version] == fresh {
			t.Errorf("version %d seen before: %t, want %t", version, seen[version], !fresh)
		}
		seen[version] = true
		other, err := b.EntryVersion(ctx)
		must(t, err)
		wantSame(t, "version of the other replica", other, version)
	}
	look(true)
	must(t, a.CreateEntry(ctx, NewEntry("e", "spiffe://example.org/a"), NewAudit("entry.create", "e")))
	look(true)
	wantError(t, "again", a.CreateEntry(ctx, NewEntry("e", "spiffe://example.org/a"), NewAudit("entry.create", "e")), store.ErrExists)
	wantError(t, "unknown", a.DeleteEntry(ctx, "none", NewAudit("entry.delete", "none")), store.ErrNotFound)
	look(false)
	must(t, b.DeleteEntry(ctx, "e", NewAudit("entry.delete", "e")))
	look(true)
	must(t, b.CreateEntry(ctx, NewEntry("e", "spiffe://example.org/a"), NewAudit("entry.create", "e")))
	look(true)
}

func testTokens(t *testing.T, a, b Store) {
	ctx := t.Context()
	token := addToken(t, a, "w")
	got, err := b.Token(ctx, token.Hash)
	must(t, err)
	wantSame(t, "token", *got, token)
	if got.Used() {
		t.Error("a new token is used")
	}
	_, err = b.Token(ctx, [32]byte{1})
	wantError(t, "unknown token", err, store.ErrNotFound)

	jwt := NewEntry("e-jwt", "spiffe://example.org/jwt")
	jwt.Method = "jwt"
	must(t, a.CreateEntry(ctx, jwt, NewAudit("entry.create", "e-jwt")))
	audit := NewAudit("token.create", "t")
	wantError(t, "token of no entry", a.CreateToken(ctx, NewToken("t1", "none"), audit), store.ErrNotFound)
	wantError(t, "token of a JWT entry", a.CreateToken(ctx, NewToken("t1", "e-jwt"), audit), store.ErrNotFound)
	wantError(t, "token ID twice", a.CreateToken(ctx, NewToken(token.ID, token.EntryID), audit), store.ErrExists)
	same := NewToken("t2", token.EntryID)
	same.Hash = token.Hash
	wantError(t, "token hash twice", a.CreateToken(ctx, same, audit), store.ErrExists)

	must(t, a.DeleteEntry(ctx, token.EntryID, NewAudit("entry.delete", token.EntryID)))
	_, err = b.Token(ctx, token.Hash)
	wantError(t, "token of a deleted entry", err, store.ErrNotFound)
	wantError(t, "issuance for it", insert(t, b, withToken(token)), store.ErrEntryGone)
}

func testPrepare(t *testing.T, a, b Store) {
	ctx, now := t.Context(), Now()
	var wait sync.WaitGroup
	for n := range 4 {
		s := []Store{a, b}[n%2]
		wait.Go(func() {
			if err := s.Prepare(ctx, now, now.Add(5*24*time.Hour)); err != nil {
				t.Errorf("Prepare: %v", err)
			}
		})
	}
	wait.Wait()
	must(t, a.Prepare(ctx, now, now.Add(6*24*time.Hour)))
	// Inside, at the edge of, and far past what was prepared.
	for _, days := range []int{0, 3, 6, 7, 400, 1200} {
		i := NewIssuance("spiffe://example.org/w", now)
		i.NotAfter = now.AddDate(0, 0, days).Truncate(24 * time.Hour).Add(24*time.Hour - time.Second)
		i.Serial = NewSerial(i.NotAfter)
		mustInsert(t, b, i)
		wantRecord(t, a, i.Serial, true)
	}
}

func testPrune(t *testing.T, a, b Store) {
	ctx, now := t.Context(), Now()
	row := func(notAfter time.Time) *store.Issuance {
		i := NewIssuance("spiffe://example.org/w", now)
		i.NotAfter = notAfter
		i.Serial = NewSerial(notAfter)
		return i
	}
	const day = 24 * time.Hour
	old, oldRevoked, today, live, far := row(now.Add(-10*day)), row(now.Add(-10*day)), row(now.Add(-time.Hour)), row(now.Add(time.Hour)), row(now.Add(50*day))
	mustInsert(t, a, old, oldRevoked, today, live, far)
	must(t, a.Revoke(ctx, oldRevoked.Serial, now, 1, NewAudit("certificate.revoke", "r")))
	used, unused, late := addToken(t, a, "used"), addToken(t, a, "unused"), NewToken("t-late", "e-used")
	late.ExpiresAt = now.Add(-11 * day)
	must(t, a.CreateToken(ctx, late, NewAudit("token.create", "t-late")))
	oldJWT, newJWT := withJWT("issuer", "old"), withJWT("issuer", "new")
	oldJWT.Replay.ExpiresAt = now.Add(-2 * time.Hour)
	newJWT.Replay.ExpiresAt = now.Add(-time.Minute)
	mustInsert(t, a, withToken(used), oldJWT, newJWT)

	must(t, a.Prune(ctx, now, now.Add(-2*day)))
	wantRecord(t, b, old.Serial, false)
	wantRecord(t, b, oldRevoked.Serial, false)
	for _, kept := range []*store.Issuance{today, live, far} {
		wantRecord(t, b, kept.Serial, true)
	}
	for _, kept := range []store.Token{used, unused} {
		_, err := b.Token(ctx, kept.Hash)
		must(t, err)
	}
	_, err := b.Token(ctx, late.Hash)
	wantError(t, "expired token", err, store.ErrNotFound)
	wantError(t, "JWT that has expired long ago", insert(t, b, withJWT("issuer", "old")), nil)
	wantError(t, "JWT that has just expired", insert(t, b, withJWT("issuer", "new")), store.ErrReplayed)
	// The revocation stands without its record.
	i := NewIssuance("spiffe://example.org/w", now)
	i.CallerSerial = oldRevoked.Serial
	wantError(t, "caller whose record is pruned", insert(t, b, i), store.ErrCallerRevoked)

	// A limit in the future drops nothing that has not expired.
	must(t, b.Prune(ctx, now, now.Add(100*day)))
	wantRecord(t, a, live.Serial, true)
	wantRecord(t, a, far.Serial, true)
	must(t, b.Prune(ctx, now.Add(3*day), now.Add(2*day)))
	_, err = b.Token(ctx, used.Hash)
	wantError(t, "token used long ago", err, store.ErrNotFound)
	wantRecord(t, a, live.Serial, false)
	wantRecord(t, a, far.Serial, true)
}
