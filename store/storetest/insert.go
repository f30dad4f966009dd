package storetest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pando-ca/pando/store"
)

func testRoundTrip(t *testing.T, a, b Store) {
	old := NewIssuance("spiffe://example.org/w", Now())
	next := NewIssuance("spiffe://example.org/w", Now().Add(time.Microsecond))
	next.Serial = NewSerial(next.NotAfter)
	next.Replaces, next.CallerSerial = old.Serial, old.Serial
	next.DNSNames = nil
	mustInsert(t, a, old)
	mustInsert(t, a, next)
	for _, want := range []*store.Issuance{old, next} {
		got, err := b.Record(t.Context(), want.Serial)
		must(t, err)
		wantSame(t, "record", *got, want.Record)
	}
	wantRecord(t, b, NewSerial(Now()), false)
	wantRecord(t, b, store.Serial{}, false)
}

func testEmptyBatch(t *testing.T, a, _ Store) {
	errs, err := a.InsertBatch(t.Context(), nil, Now())
	if len(errs) != 0 || err != nil {
		t.Errorf("InsertBatch(nil) = %v, %v", errs, err)
	}
}

func testRefusals(t *testing.T, a, b Store) {
	ctx, now := t.Context(), Now()
	revoked := NewIssuance("spiffe://example.org/revoked", now)
	mustInsert(t, a, revoked)
	must(t, a.Revoke(ctx, revoked.Serial, now, 1, NewAudit("certificate.revoke", "r")))
	blocked := [32]byte{7}
	must(t, a.BlockKey(ctx, blocked, now, NewAudit("key.block", "k")))
	good, other, late, used := addToken(t, a, "good"), addToken(t, a, "other"), addToken(t, a, "late"), addToken(t, a, "used")
	mustInsert(t, a, withToken(used), withJWT("issuer", "used"))
	jwtEntry := NewEntry("e-jwt", "spiffe://example.org/jwt")
	jwtEntry.Method = "jwt"
	must(t, a.CreateEntry(ctx, jwtEntry, NewAudit("entry.create", "e-jwt")))

	change := func(i *store.Issuance, f func(*store.Issuance)) *store.Issuance {
		f(i)
		return i
	}
	plain := func(f func(*store.Issuance)) *store.Issuance {
		return change(NewIssuance("spiffe://example.org/w", now), f)
	}
	tests := []struct {
		name string
		row  *store.Issuance
		want error
	}{
		{"nothing to refuse", plain(func(i *store.Issuance) { i.EntryID = "e-good" }), nil},
		{"caller unknown to the store", plain(func(i *store.Issuance) { i.CallerSerial = NewSerial(now) }), nil},
		{"caller revoked", plain(func(i *store.Issuance) { i.CallerSerial = revoked.Serial }), store.ErrCallerRevoked},
		{"key blocked", plain(func(i *store.Issuance) { i.KeyHash = blocked }), store.ErrKeyBlocked},
		{"entry unknown", plain(func(i *store.Issuance) { i.EntryID = "e-none" }), store.ErrEntryGone},
		{"token good", withToken(good), nil},
		{"token of another entry", change(withToken(other), func(i *store.Issuance) { i.EntryID = "e-good" }), store.ErrEntryGone},
		{"token used", withToken(used), store.ErrTokenUsed},
		{"token unknown", withToken(NewToken("t-none", "e-good")), store.ErrTokenExpired},
		{"JWT new", change(withJWT("issuer", "new"), func(i *store.Issuance) { i.EntryID = "e-jwt" }), nil},
		{"JWT of this ID from another issuer", withJWT("other", "used"), nil},
		{"JWT used", withJWT("issuer", "used"), store.ErrReplayed},
		{"issuer and ID that run together alike", withJWT("issue", "rused"), nil},
		{"revoked before blocked", plain(func(i *store.Issuance) { i.CallerSerial, i.KeyHash = revoked.Serial, blocked }), store.ErrCallerRevoked},
		{"blocked before the entry", plain(func(i *store.Issuance) { i.KeyHash, i.EntryID = blocked, "e-none" }), store.ErrKeyBlocked},
	}
	batch := make([]*store.Issuance, len(tests))
	for at, test := range tests {
		batch[at] = test.row
	}
	errs, err := b.InsertBatch(ctx, batch, now)
	must(t, err)
	for at, test := range tests {
		if !errors.Is(errs[at], test.want) {
			t.Errorf("%s: error %v, want %v", test.name, errs[at], test.want)
		}
		wantRecord(t, a, test.row.Serial, test.want == nil)
	}

	errs, err = b.InsertBatch(ctx, []*store.Issuance{withToken(late)}, late.ExpiresAt)
	must(t, err)
	wantError(t, "token at the moment it expires", errs[0], store.ErrTokenExpired)
	errs, err = b.InsertBatch(ctx, []*store.Issuance{withToken(late)}, late.ExpiresAt.Add(-time.Microsecond))
	must(t, err)
	wantError(t, "token just before it expires", errs[0], nil)
}

func testSerialTaken(t *testing.T, a, b Store) {
	first := NewIssuance("spiffe://example.org/a", Now())
	mustInsert(t, a, first)
	again := NewIssuance("spiffe://example.org/b", Now())
	again.Serial = first.Serial
	fresh := NewIssuance("spiffe://example.org/c", Now())
	twice := NewIssuance("spiffe://example.org/d", Now())
	twice.Serial = fresh.Serial
	// The same second, another moment: a serial number belongs to the second.
	later := NewIssuance("spiffe://example.org/e", Now())
	later.NotAfter = later.NotAfter.Add(time.Millisecond)
	later.Serial = first.Serial

	errs, err := b.InsertBatch(t.Context(), []*store.Issuance{again, fresh, twice, later}, Now())
	must(t, err)
	wantError(t, "serial of another batch", errs[0], store.ErrSerialTaken)
	wantError(t, "fresh serial", errs[1], nil)
	wantError(t, "serial of the same batch", errs[2], store.ErrSerialTaken)
	wantError(t, "serial with another NotAfter", errs[3], store.ErrSerialTaken)
	for _, want := range []*store.Issuance{first, fresh} {
		got, err := a.Record(t.Context(), want.Serial)
		must(t, err)
		wantSame(t, "record", *got, want.Record)
	}
}

func testSerialTakenKeepsCredential(t *testing.T, a, b Store) {
	first := NewIssuance("spiffe://example.org/a", Now())
	mustInsert(t, a, first)
	token := addToken(t, a, "w")
	byToken, byJWT := withToken(token), withJWT("issuer", "1")
	byToken.Serial, byJWT.Serial = first.Serial, first.Serial
	bystander := NewIssuance("spiffe://example.org/b", Now())

	// The first of the two in a batch of its own, since a batch refuses the second itself.
	for _, row := range []*store.Issuance{byToken, byJWT} {
		errs, err := b.InsertBatch(t.Context(), []*store.Issuance{row, bystander}, Now())
		must(t, err)
		wantError(t, row.Method, errs[0], store.ErrSerialTaken)
		wantError(t, "bystander", errs[1], nil)
		bystander = NewIssuance("spiffe://example.org/b", Now())
	}
	got, err := a.Token(t.Context(), token.Hash)
	must(t, err)
	wantSame(t, "token", *got, token)
	byToken.Serial, byJWT.Serial = NewSerial(byToken.NotAfter), NewSerial(byJWT.NotAfter)
	mustInsert(t, b, byToken, byJWT)
}

func testInvalid(t *testing.T, a, _ Store) {
	bad := map[string]func(*store.Issuance){
		"serial of another time":  func(i *store.Issuance) { i.Serial[3]++ },
		"two credentials":         func(i *store.Issuance) { i.TokenHash, i.Replay = [32]byte{1}, store.Replay{Issuer: "i", ID: "1"} },
		"NUL in the caller":       func(i *store.Issuance) { i.Caller = "a\x00b" },
		"not UTF-8":               func(i *store.Issuance) { i.Caller = "\xff" },
		"a DNS name with a space": func(i *store.Issuance) { i.DNSNames = []string{"a b"} },
	}
	var batch []*store.Issuance
	var names []string
	for name, spoil := range bad {
		i := NewIssuance("spiffe://example.org/bad", Now())
		spoil(i)
		batch, names = append(batch, i), append(names, name)
	}
	good := NewIssuance("spiffe://example.org/good", Now())
	long := withJWT("issuer", strings.Repeat("x", 100_000))
	errs, err := a.InsertBatch(t.Context(), append(batch, good, long), Now())
	must(t, err)
	for at, name := range names {
		wantError(t, name, errs[at], store.ErrInvalid)
		wantRecord(t, a, batch[at].Serial, false)
	}
	wantError(t, "the row beside them", errs[len(batch)], nil)
	wantError(t, "a jti of 100 kB", errs[len(batch)+1], nil)
}

func testToken(t *testing.T, a, b Store) {
	token := addToken(t, a, "w")
	row := withToken(token)
	at := Now().Add(time.Second)
	errs, err := a.InsertBatch(t.Context(), []*store.Issuance{row}, at)
	must(t, err)
	must(t, errs[0])
	got, err := b.Token(t.Context(), token.Hash)
	must(t, err)
	token.UsedAt, token.UsedBy, token.UsedKey = at, row.Serial, row.KeyHash
	wantSame(t, "token", *got, token)
	if !got.Used() {
		t.Error("a consumed token is not used")
	}
}

func testRefusedKeepsCredential(t *testing.T, a, b Store) {
	token := addToken(t, a, "w")
	blocked := [32]byte{9}
	must(t, a.BlockKey(t.Context(), blocked, Now(), NewAudit("key.block", "k")))
	byToken, byJWT := withToken(token), withJWT("issuer", "1")
	byToken.KeyHash, byJWT.KeyHash = blocked, blocked
	wantError(t, "token", insert(t, a, byToken), store.ErrKeyBlocked)
	wantError(t, "JWT", insert(t, a, byJWT), store.ErrKeyBlocked)
	mustInsert(t, b, withToken(token), withJWT("issuer", "1"))
}

func testTokenTwiceInBatch(t *testing.T, a, b Store) {
	token, second := addToken(t, a, "w"), addToken(t, a, "x")
	first, again := withToken(token), withToken(token)
	refused, taken := withToken(second), withToken(second)
	refused.CallerSerial = NewSerial(Now())
	revoked := NewIssuance("spiffe://example.org/r", Now())
	mustInsert(t, a, revoked)
	must(t, a.Revoke(t.Context(), revoked.Serial, Now(), 1, NewAudit("certificate.revoke", "r")))
	refused.CallerSerial = revoked.Serial

	errs, err := b.InsertBatch(t.Context(), []*store.Issuance{first, again, refused, taken}, Now())
	must(t, err)
	wantError(t, "first", errs[0], nil)
	wantError(t, "again", errs[1], store.ErrTokenUsed)
	wantError(t, "refused for another reason", errs[2], store.ErrCallerRevoked)
	wantError(t, "after one that was refused", errs[3], nil)
	wantRecord(t, a, again.Serial, false)
	got, err := a.Token(t.Context(), token.Hash)
	must(t, err)
	wantSame(t, "used by", got.UsedBy, first.Serial)
}

func testReplayTwiceInBatch(t *testing.T, a, _ Store) {
	first, again := withJWT("issuer", "1"), withJWT("issuer", "1")
	errs, err := a.InsertBatch(t.Context(), []*store.Issuance{first, again}, Now())
	must(t, err)
	wantError(t, "first", errs[0], nil)
	wantError(t, "again", errs[1], store.ErrReplayed)
	wantRecord(t, a, first.Serial, true)
	wantRecord(t, a, again.Serial, false)
}

func testContext(t *testing.T, a, _ Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	row := NewIssuance("spiffe://example.org/w", Now())
	_, err := a.InsertBatch(ctx, []*store.Issuance{row}, Now())
	wantError(t, "InsertBatch", err, store.ErrUnavailable)
	wantError(t, "InsertBatch", err, context.Canceled)
	wantRecord(t, a, row.Serial, false)
	_, err = a.Records(ctx, store.RecordFilter{Limit: 1})
	wantError(t, "Records", err, context.Canceled)
	mustInsert(t, a, row)
}

func testPing(t *testing.T, a, b Store) {
	must(t, a.Ping(t.Context()))
	must(t, b.Ping(t.Context()))
}
