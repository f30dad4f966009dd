package server_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
)

// downloader enrols a workload under an entry with pre_renew.
func (f *fixture) downloader(t testing.TB) (entry string, issued *server.Issued) {
	t.Helper()
	entry = f.entry(t, policy.EntrySpec{SPIFFEID: workload, Method: policy.MethodJoinToken, DNSNames: []string{"web.example.org"}, PreRenew: true})
	return entry, f.issue(t, f.holder(t, entry), request(t))
}

// holder is a caller with a new join token.
func (f *fixture) holder(t testing.TB, entry string) policy.Caller {
	t.Helper()
	token, err := f.CreateJoinToken(t.Context(), administrator(policy.RoleOperator), entry, 0)
	if err != nil {
		t.Fatal(err)
	}
	return f.caller(t, token.Secret)
}

func (f *fixture) preRenew(t testing.TB) {
	t.Helper()
	if err := f.PreRenew(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
}

// newest downloads with a certificate.
func (f *fixture) newest(t testing.TB, with *server.Issued) *server.Issued {
	t.Helper()
	newest, err := f.Newest(t.Context(), f.peer(t, with))
	if err != nil {
		t.Fatal(err)
	}
	return newest
}

// due sleeps until a certificate is.
func due(issued *server.Issued) { time.Sleep(time.Until(issued.Renewal.Start)) }

func storeSerial(t testing.TB, text string) store.Serial {
	t.Helper()
	serial, err := ca.ParseSerial(text)
	if err != nil {
		t.Fatal(err)
	}
	return store.Serial(serial)
}

// TestASuccessorIsWhatItsPredecessorWas, but for its validity and its issuer.
func TestASuccessorIsWhatItsPredecessorWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		entry, _ := f.downloader(t)
		req := request(t)
		req.Want.Duration = 40 * time.Minute // not what the profile gives by itself
		old := f.issue(t, f.holder(t, entry), req)
		due(old)
		f.pki = f.pki.Prepare(t).Activate(t)
		f.adopt(t, f.pki.Set())
		f.preRenew(t)
		next := f.newest(t, old)

		before, after := parseChain(t, old.Chain), parseChain(t, next.Chain)
		if string(before[0].RawSubjectPublicKeyInfo) != string(after[0].RawSubjectPublicKeyInfo) {
			t.Error("the key is another one")
		}
		got := []any{next.SPIFFEID, next.DNSNames, next.Profile, next.Method, next.Caller, next.Replaces, next.EntryID, next.NotAfter.Sub(next.NotBefore)}
		want := []any{old.SPIFFEID, old.DNSNames, old.Profile, "pre_renew", "pando pre-renew", old.Serial, entry, old.NotAfter.Sub(old.NotBefore)}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the successor (-want +got):\n%s", diff)
		}
		intermediates := x509.NewCertPool()
		for _, c := range after[1:] {
			intermediates.AddCert(c)
		}
		if _, err := after[0].Verify(x509.VerifyOptions{Roots: f.pki.RootPool(), Intermediates: intermediates, CurrentTime: time.Now()}); err != nil {
			t.Errorf("the chain does not verify: %v", err)
		}
		if next.Issuer == old.Issuer {
			t.Error("the issuer is the one before")
		}
	})
}

// TestPreRenewal: each case is a history, and how many certificates there are at its end.
func TestPreRenewal(t *testing.T) {
	ctx := context.Background()
	revoke := func(t *testing.T, f *fixture, serial string) {
		if err := f.store.Revoke(ctx, storeSerial(t, serial), time.Now(), 1, store.Audit{}); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		history func(t *testing.T, f *fixture, entry string, first *server.Issued)
		want    int
	}{
		"before the window nothing is due": {func(*testing.T, *fixture, string, *server.Issued) {}, 1},
		"in the window it is":              {func(_ *testing.T, _ *fixture, _ string, first *server.Issued) { due(first) }, 2},
		"once": {func(t *testing.T, f *fixture, _ string, first *server.Issued) {
			due(first)
			f.preRenew(t)
			f.preRenew(t)
		}, 2},
		"not when it has expired": {func(_ *testing.T, _ *fixture, _ string, first *server.Issued) { time.Sleep(time.Until(first.NotAfter)) }, 1},
		"not when it is revoked": {func(t *testing.T, f *fixture, _ string, first *server.Issued) {
			due(first)
			revoke(t, f, first.Serial)
		}, 1},
		"not when its key is blocked": {func(t *testing.T, f *fixture, _ string, first *server.Issued) {
			due(first)
			hash, err := ca.HashPublicKey(parseChain(t, first.Chain)[0].PublicKey)
			if err == nil {
				err = f.store.BlockKey(ctx, hash, time.Now(), store.Audit{})
			}
			if err != nil {
				t.Fatal(err)
			}
		}, 1},
		"not when its entry is deleted": {func(t *testing.T, f *fixture, entry string, first *server.Issued) {
			due(first)
			if err := f.DeleteEntry(ctx, administrator(policy.RoleOperator), entry); err != nil {
				t.Fatal(err)
			}
		}, 1},
		"not when its holder has renewed it": {func(t *testing.T, f *fixture, _ string, first *server.Issued) {
			due(first)
			if _, err := f.Renew(ctx, f.peer(t, first), request(t)); err != nil {
				t.Fatal(err)
			}
		}, 2},
		"not again when nobody has collected it": {func(t *testing.T, f *fixture, _ string, first *server.Issued) {
			due(first)
			f.preRenew(t)
			time.Sleep(first.NotAfter.Sub(first.NotBefore) * 2 / 3) // in the window of the second
		}, 2},
		"again when its holder has": {func(t *testing.T, f *fixture, _ string, first *server.Issued) {
			due(first)
			f.preRenew(t)
			due(f.newest(t, first))
		}, 3},
		"and again": {func(t *testing.T, f *fixture, _ string, first *server.Issued) {
			for held := first; f.records(t, workload) < 5; held = f.newest(t, held) {
				due(held)
				f.preRenew(t)
			}
		}, 5},
		"not when the one that was collected is revoked": {func(t *testing.T, f *fixture, _ string, first *server.Issued) {
			due(first)
			f.preRenew(t)
			second := f.newest(t, first)
			revoke(t, f, second.Serial)
			due(second)
		}, 2},
		"once for a key that was enrolled twice": {func(t *testing.T, f *fixture, entry string, _ *server.Issued) {
			req := request(t)
			for range 3 {
				f.issue(t, f.holder(t, entry), req)
				time.Sleep(time.Minute)
			}
			time.Sleep(40 * time.Minute)
		}, 1 + 3 + 1 + 1}, // the first has a key of its own
		"each key of one identity for itself": {func(t *testing.T, f *fixture, entry string, first *server.Issued) {
			f.issue(t, f.holder(t, entry), request(t))
			time.Sleep(first.NotAfter.Sub(first.NotBefore) * 2 / 3)
		}, 4},
		"not under an entry that does not ask for it": {func(t *testing.T, f *fixture, entry string, first *server.Issued) {
			f.issue(t, f.enrol(t), request(t))
			revoke(t, f, first.Serial)
			time.Sleep(first.NotAfter.Sub(first.NotBefore) * 2 / 3)
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t)
				entry, first := f.downloader(t)
				c.history(t, f, entry, first)
				f.preRenew(t)
				if got := f.records(t, workload); got != c.want {
					t.Errorf("%d certificates, want %d", got, c.want)
				}
			})
		})
	}
}

// TestPreRenewalUnderATemplate has identities before, between and behind those that the entry
// gives, and more of them than one batch holds.
func TestPreRenewalUnderATemplate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *server.Config) { c.PreRenewRate = 1000 })
		f.entry(t, policy.EntrySpec{
			SPIFFEID: "spiffe://example.org/ns/{ns}/sa", Method: policy.MethodJWT, Issuer: "ci", Claims: map[string]string{"team": "a"}, PreRenew: true,
		})
		const workloads = 230
		for n := range workloads {
			job := policy.Caller{Method: policy.MethodJWT, Subject: "ci job", Issuer: "ci", Claims: map[string]any{"team": "a", "ns": fmt.Sprintf("n%d", n)}}
			f.issue(t, job, request(t))
		}
		for _, id := range []string{"spiffe://example.org/n", "spiffe://example.org/ns/n1/sb", "spiffe://example.org/nt"} {
			f.issue(t, administrator(policy.RoleOperator), request(t, id))
		}
		time.Sleep(40 * time.Minute)
		f.preRenew(t)
		rows, err := f.store.Records(t.Context(), store.RecordFilter{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if got := len(rows) - workloads - 3; got != workloads {
			t.Errorf("%d successors, want %d", got, workloads)
		}
	})
}

// flaky writes a batch, or does not, and says that it failed.
type flaky struct {
	server.Issuances
	fail  error
	write bool
}

func (f *flaky) InsertAll(ctx context.Context, all []*store.Issuance, now time.Time) []error {
	if f.fail == nil {
		return f.Issuances.InsertAll(ctx, all, now)
	}
	if f.write {
		f.Issuances.InsertAll(ctx, all, now)
	}
	errs := make([]error, len(all))
	for i := range errs {
		errs[i] = f.fail
	}
	return errs
}

// TestPreRenewalGoesOn after a crash before or after the commit.
func TestPreRenewalGoesOn(t *testing.T) {
	for name, written := range map[string]bool{"that came before the commit": false, "that came after it": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var to *flaky
				f := newFixture(t, func(c *server.Config) {
					to = &flaky{Issuances: c.Issuances, fail: store.ErrUnavailable, write: written}
					c.Issuances = to
				})
				_, first := f.downloader(t)
				due(first)
				if err := f.PreRenew(t.Context(), time.Now()); !errors.Is(err, store.ErrUnavailable) {
					t.Errorf("error %v, want that of the store", err)
				}
				to.fail = nil
				f.preRenew(t)
				f.preRenew(t)
				if got := f.records(t, workload); got != 2 {
					t.Errorf("%d certificates, want 2", got)
				}
			})
		})
	}
}

func TestNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		entry, first := f.downloader(t)
		if got := f.newest(t, first); got.Serial != first.Serial || got.Chain != first.Chain {
			t.Errorf("with nothing newer it is %s, want the presented one", got.Serial)
		}
		f.issue(t, f.holder(t, entry), request(t)) // another key
		due(first)
		f.preRenew(t)
		second := f.newest(t, first)
		if second.Serial == first.Serial || second.KeyHash != first.KeyHash {
			t.Errorf("the newest is %s for key %s", second.Serial, second.KeyHash)
		}
		if got := f.newest(t, second); got.Serial != second.Serial {
			t.Errorf("with the newest one gets %s", got.Serial)
		}
		refused := func(what, want string, caller policy.Caller) {
			t.Helper()
			if newest, err := f.Newest(t.Context(), caller); newest != nil || code(err) != want {
				t.Errorf("%s: %v, %v; want %s", what, newest, err, want)
			}
		}
		refused("without a certificate", "permission_denied", f.holder(t, entry))
		refused("without anything", "unauthenticated", policy.Caller{})
		old := f.peer(t, first)
		if err := f.store.Revoke(t.Context(), storeSerial(t, first.Serial), time.Now(), 1, store.Audit{}); err != nil {
			t.Fatal(err)
		}
		refused("with a revoked certificate", "revoked", old)
		if err := f.store.Revoke(t.Context(), storeSerial(t, second.Serial), time.Now(), 1, store.Audit{}); err != nil {
			t.Fatal(err)
		}
		unknown := old
		unknown.Serial = unknownSerial(t)
		refused("with a certificate that has no record", "permission_denied", unknown)
	})
}

// unknownSerial is a serial number that nothing has.
func unknownSerial(t testing.TB) ca.Serial {
	t.Helper()
	serial, err := ca.NewSerial(zeros{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return serial
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestRenewalInfo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		_, first := f.downloader(t)
		other := f.issue(t, administrator(policy.RoleOperator), request(t, "spiffe://example.org/other"))
		job := policy.Caller{Method: policy.MethodJWT, Subject: "ci job", Issuer: "ci"}
		for name, c := range map[string]struct {
			caller policy.Caller
			serial string
			want   string
		}{
			"one's own":                      {f.peer(t, first), first.Serial, ""},
			"that of another":                {f.peer(t, first), other.Serial, "permission_denied"},
			"a viewer":                       {administrator(policy.RoleViewer), other.Serial, ""},
			"a JWT without a role":           {job, first.Serial, "permission_denied"},
			"nobody":                         {policy.Caller{}, first.Serial, "unauthenticated"},
			"what is no serial number":       {f.peer(t, first), "../newest", "invalid_request"},
			"what was never issued":          {f.peer(t, first), unknownSerial(t).String(), "not_found"},
			"with an unrecorded certificate": {policy.Caller{Method: policy.MethodPeer, ID: parseID(t, workload)}, first.Serial, "permission_denied"},
		} {
			info, err := f.RenewalInfo(t.Context(), c.caller, c.serial)
			if code(err) != c.want || (info == nil) == (err == nil) {
				t.Errorf("%s: %+v, %v; want %q", name, info, err, c.want)
			}
		}

		ask := func(at time.Time, retry time.Duration) {
			t.Helper()
			time.Sleep(time.Until(at))
			info, err := f.RenewalInfo(t.Context(), f.peer(t, first), first.Serial)
			if err != nil {
				t.Fatal(err)
			}
			if info.Renewal != first.Renewal || info.RetryAfter != retry {
				t.Errorf("window %v, again in %s; want that of the answer and %s", info.Renewal, info.RetryAfter, retry)
			}
		}
		hint := f.Set().RefreshHint()
		ask(time.Now(), hint)
		ask(first.Renewal.Start.Add(-90*time.Second), min(hint, 90*time.Second))
		ask(first.Renewal.Start.Add(-time.Millisecond), time.Second)
		ask(first.Renewal.End.Add(time.Second), hint)
		holder := f.peer(t, first)
		if err := f.store.Revoke(t.Context(), storeSerial(t, first.Serial), time.Now(), 1, store.Audit{}); err != nil {
			t.Fatal(err)
		}
		if _, err := f.RenewalInfo(t.Context(), holder, first.Serial); code(err) != "revoked" {
			t.Errorf("a revoked certificate is answered with %v", err)
		}
	})
}

// TestWhatARevokedAuthoritySignedIsNoSuccessor: nobody accepts it, and its holder could not ask
// with it for another one.
func TestWhatARevokedAuthoritySignedIsNoSuccessor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		_, first := f.downloader(t)
		config := f.pki.SetConfig()
		second, third := newIntermediate(t, config), newIntermediate(t, config)
		second.State, third.State = ca.StateActive, ca.StateActive
		config.Authorities[1].State = ca.StateRetiring
		config.Generation, config.Authorities = 2, append(config.Authorities, second)
		f.adopt(t, newSet(t, config, time.Now()))
		due(first)
		f.preRenew(t)

		second.State = ca.StateRevoked
		config.Generation, config.Authorities = 3, append(config.Authorities[:2:2], second, third)
		f.adopt(t, newSet(t, config, time.Now()))
		if got := f.newest(t, first); got.Serial != first.Serial {
			t.Errorf("the newest is %s of issuer %s, want the presented one", got.Serial, got.Issuer)
		}
		if diff := cmp.Diff([]string{first.SPIFFEID + " revoked"}, f.states(t, "", 0)); diff != "" {
			t.Errorf("identities (-want +got):\n%s", diff)
		}
		time.Sleep(time.Second)
		f.preRenew(t)
		if got := f.newest(t, first); got.Issuer != third.ID {
			t.Errorf("renewed again, the newest is of issuer %s, want %s", got.Issuer, third.ID)
		}
	})
}
