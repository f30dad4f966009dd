package server_test

import (
	"context"
	"crypto/x509"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
)

func TestIssueRecordsWhatItReleases(t *testing.T) {
	f := newFixture(t)
	caller := f.enrol(t)
	issued := f.issue(t, caller, request(t))

	chain := parseChain(t, issued.Chain)
	intermediates := x509.NewCertPool()
	for _, c := range chain[1:] {
		intermediates.AddCert(c)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{Roots: f.pki.RootPool(), Intermediates: intermediates}); err != nil {
		t.Errorf("the chain does not verify: %v", err)
	}
	serial, err := ca.ParseSerial(issued.Serial)
	if err != nil {
		t.Fatal(err)
	}
	record, err := f.store.Record(t.Context(), store.Serial(serial))
	if err != nil {
		t.Fatal(err)
	}
	if string(record.Certificate) != string(chain[0].Raw) {
		t.Error("the recorded certificate is not the one that was released")
	}
	got := []string{record.SPIFFEID, record.Method, record.Caller, record.Address, record.EntryID, record.Profile, record.RequestID, record.KeyAlgorithm}
	want := []string{workload, "join_token", caller.Subject, "192.0.2.1", caller.EntryID, "workload", "req-1", "ecdsa-p256"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("the record says %q, want %q", got, want)
	}
	if issued.Bundle.Sequence != f.pki.Set().Sequence() || !strings.Contains(issued.Bundle.PEM, "BEGIN CERTIFICATE") {
		t.Errorf("the answer lacks the bundle: %+v", issued.Bundle)
	}
	if !issued.Renewal.Start.After(issued.NotBefore) || !issued.Renewal.End.Before(issued.NotAfter) {
		t.Errorf("the renewal window %+v is not inside the validity period", issued.Renewal)
	}
}

// Threat 34: nothing unrecorded leaves, whether the store fails before or after the commit.
func TestNothingLeavesWithoutADurableRecord(t *testing.T) {
	for name, fail := range map[string]func(*outlet){
		"the store is away":                    func(o *outlet) { o.before = store.ErrUnavailable },
		"too many wait":                        func(o *outlet) { o.before = store.ErrOverloaded },
		"the commit happened but was not seen": func(o *outlet) { o.after = store.ErrUnavailable },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			caller := f.enrol(t)
			fail(f.out)
			issued, err := f.Issue(t.Context(), caller, request(t))
			failure := server.AsError(err)
			if issued != nil || failure.Kind != server.KindUnavailable || failure.RetryAfter <= 0 {
				t.Fatalf("the answer is %v, %+v", issued, failure)
			}
			results, err := f.IssueBatch(t.Context(), administrator(policy.RoleOperator), nil)
			if results != nil || code(err) != "invalid_request" {
				t.Errorf("an empty batch gives %v, %v", results, err)
			}
		})
	}
}

// Threat 33: a random source that repeats itself costs a draw and not a record.
func TestARepeatedSerialIsDrawnAgain(t *testing.T) {
	f := newFixture(t)
	first := f.issue(t, administrator(policy.RoleOperator), request(t, workload))
	taken, err := ca.ParseSerial(first.Serial)
	if err != nil {
		t.Fatal(err)
	}
	draws := 0
	f.out.change = func(i *store.Issuance) {
		if draws++; draws < 3 {
			i.Serial = store.Serial(taken)
		}
	}
	issued := f.issue(t, administrator(policy.RoleOperator), request(t, workload))
	if draws != 3 || issued.Serial == first.Serial {
		t.Errorf("after %d draws the serial number is %s", draws, issued.Serial)
	}
	draws = -1000
	if _, err := f.Issue(t.Context(), administrator(policy.RoleOperator), request(t, workload)); code(err) != "internal" {
		t.Errorf("a random source that only repeats gives %v", err)
	}
}

func TestAJoinTokenIsUsedOnce(t *testing.T) {
	f := newFixture(t)
	caller := f.enrol(t)
	const tries = 20
	var wg sync.WaitGroup
	var mu sync.Mutex
	won, codes := 0, map[string]int{}
	requests := make([]server.Request, tries)
	for i := range requests {
		requests[i] = request(t)
	}
	for _, req := range requests {
		wg.Go(func() {
			_, err := f.Issue(context.Background(), caller, req)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else {
				codes[code(err)]++
			}
		})
	}
	wg.Wait()
	if won != 1 || codes["token_used"] != tries-1 || f.records(t, workload) != 1 {
		t.Errorf("%d of %d uses won, the others got %v, and there are %d records", won, tries, codes, f.records(t, workload))
	}
}

func TestALostAnswerIsGivenAgain(t *testing.T) {
	f := newFixture(t)
	entry := f.entry(t, policy.EntrySpec{SPIFFEID: workload, Method: policy.MethodJoinToken})
	token, err := f.CreateJoinToken(t.Context(), administrator(policy.RoleOperator), entry, 0)
	if err != nil {
		t.Fatal(err)
	}
	key, der := catest.CSR(t, ca.ECDSAP256)
	first := f.issue(t, f.caller(t, token.Secret), server.Request{CSR: der})

	// The same key, in a CSR with another signature.
	again := f.issue(t, f.caller(t, token.Secret), server.Request{CSR: catest.CSRFor(t, key)})
	if again.Chain != first.Chain || again.Renewal != first.Renewal {
		t.Error("the repeated answer is another one")
	}
	// The race: authenticated before the first try was recorded.
	stale := f.caller(t, token.Secret)
	stale.Spent = policy.Spent{}
	if raced := f.issue(t, stale, server.Request{CSR: der}); raced.Serial != first.Serial {
		t.Error("a try that lost the race against itself got another certificate")
	}
	if _, err := f.Issue(t.Context(), f.caller(t, token.Secret), request(t)); code(err) != "token_used" {
		t.Errorf("another key gives %v", err)
	}
	late := f.caller(t, token.Secret)
	late.Spent.At = late.Spent.At.Add(-6 * time.Minute)
	if _, err := f.Issue(t.Context(), late, server.Request{CSR: der}); code(err) != "token_used" {
		t.Errorf("six minutes later the answer is %v", err)
	}
	if n := f.records(t, workload); n != 1 {
		t.Errorf("there are %d records", n)
	}
}

func TestAJWTIsUsedOnce(t *testing.T) {
	f := newFixture(t)
	f.entry(t, policy.EntrySpec{SPIFFEID: "spiffe://example.org/ci/{sub}", Method: policy.MethodJWT, Issuer: "ci", Claims: map[string]string{"team": "a"}})
	caller := policy.Caller{
		Method: policy.MethodJWT, Subject: "ci job", Issuer: "ci", TokenID: "jti-1", ExpiresAt: time.Now().Add(time.Minute),
		Claims: map[string]any{"sub": "job", "team": "a"},
	}
	f.issue(t, caller, request(t))
	if _, err := f.Issue(t.Context(), caller, request(t)); code(err) != "replayed" {
		t.Errorf("the second use gives %v", err)
	}
	if _, err := f.IssueBatch(t.Context(), caller, []server.Request{request(t), request(t)}); code(err) != "permission_denied" {
		t.Errorf("a batch with a token for one request gives %v", err)
	}
	caller.TokenID = "" // an issuer whose tokens are reusable
	f.issue(t, caller, request(t))
	f.issue(t, caller, request(t))
}

func TestAnEntryMadeElsewhereIsFound(t *testing.T) {
	f := newFixture(t)
	caller := policy.Caller{Method: policy.MethodJWT, Subject: "ci job", Issuer: "ci", Claims: map[string]any{"sub": "job", "team": "a"}}
	if _, err := f.Issue(t.Context(), caller, request(t)); code(err) != "policy_denied" {
		t.Fatalf("without an entry the answer is %v", err)
	}
	// Another replica writes to the same store.
	row := store.Entry{ID: "ent_x", SPIFFEID: "spiffe://example.org/ci/{sub}", Profile: "workload", Method: "jwt", Issuer: "ci", Claims: map[string]string{"team": "a"}, CreatedAt: time.Now(), CreatedBy: "x"}
	if err := f.store.CreateEntry(t.Context(), row, store.Audit{At: time.Now(), Actor: "x", Action: "entry.create", Target: row.ID}); err != nil {
		t.Fatal(err)
	}
	issued := f.issue(t, caller, request(t))
	if issued.SPIFFEID != "spiffe://example.org/ci/job" {
		t.Errorf("the identity is %s", issued.SPIFFEID)
	}
	// And deletes it again: this replica has not looked since.
	if err := f.store.DeleteEntry(t.Context(), row.ID, store.Audit{At: time.Now(), Actor: "x", Action: "entry.delete", Target: row.ID}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Issue(t.Context(), caller, request(t)); code(err) != "policy_denied" {
		t.Errorf("after the entry is deleted the answer is %v", err)
	}
}

func TestRenewal(t *testing.T) {
	f := newFixture(t)
	first := f.issue(t, f.enrol(t), request(t))
	holder := f.peer(t, first)
	second, err := f.Renew(t.Context(), holder, request(t))
	if err != nil {
		t.Fatal(err)
	}
	if second.SPIFFEID != first.SPIFFEID || strings.Join(second.DNSNames, " ") != strings.Join(first.DNSNames, " ") || second.Replaces != first.Serial || second.EntryID != first.EntryID {
		t.Errorf("the renewed certificate is %+v", second.Certificate)
	}
	if _, err := f.Renew(t.Context(), holder, request(t, "spiffe://example.org/other")); code(err) != "policy_denied" {
		t.Errorf("a renewal for another identity gives %v", err)
	}
	if _, err := f.Renew(t.Context(), administrator(policy.RoleAdmin), request(t)); code(err) != "permission_denied" {
		t.Errorf("a renewal without a certificate gives %v", err)
	}
	stranger := holder
	stranger.Serial[18]++
	if _, err := f.Renew(t.Context(), stranger, request(t)); code(err) != "policy_denied" {
		t.Errorf("a renewal of a certificate that was never recorded gives %v", err)
	}
}

// The conditions of the insert hold for a renewal although the record is remembered.
func TestRenewalStopsAtOnce(t *testing.T) {
	audit := store.Audit{At: time.Now(), Actor: "test", Action: "test", Target: "test"}
	for name, c := range map[string]struct {
		stop func(*fixture, *server.Issued, [32]byte) error
		code string
	}{
		"when the certificate is revoked": {func(f *fixture, i *server.Issued, _ [32]byte) error {
			serial, err := ca.ParseSerial(i.Serial)
			return errors.Join(err, f.store.Revoke(context.Background(), store.Serial(serial), time.Now(), 1, audit))
		}, "revoked"},
		"when the entry is deleted": {func(f *fixture, i *server.Issued, _ [32]byte) error {
			return f.DeleteEntry(context.Background(), administrator(policy.RoleOperator), i.EntryID)
		}, "policy_denied"},
		"when the new key is blocked": {func(f *fixture, _ *server.Issued, key [32]byte) error {
			return f.store.BlockKey(context.Background(), key, time.Now(), audit)
		}, "key_blocked"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			issued := f.issue(t, f.enrol(t), request(t))
			holder := f.peer(t, issued)
			req := request(t)
			if _, err := f.Renew(t.Context(), holder, req); err != nil {
				t.Fatal(err)
			}
			csr, err := ca.ParseCSR(req.CSR)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.stop(f, issued, csr.KeyHash); err != nil {
				t.Fatal(err)
			}
			if _, err := f.Renew(t.Context(), holder, req); code(err) != c.code {
				t.Errorf("the next renewal gives %v, want %s", err, c.code)
			}
			results, err := f.IssueBatch(t.Context(), holder, []server.Request{req})
			if err != nil || code(results[0].Err) != c.code {
				t.Errorf("a batch gives %v, %v, want %s", results, err, c.code)
			}
		})
	}
}

func TestIssueBatchAnswersEachRequest(t *testing.T) {
	f := newFixture(t)
	reqs := []server.Request{
		request(t, workload), {CSR: []byte("junk")}, request(t, "spiffe://example.org/pando/server"), request(t, workload+"/b"),
	}
	results, err := f.IssueBatch(t.Context(), administrator(policy.RoleOperator), reqs)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"", "invalid_csr", "policy_denied", ""} {
		if got := code(results[i].Err); got != want || (results[i].Issued != nil) != (want == "") {
			t.Errorf("result %d is %+v, want the code %q", i, results[i], want)
		}
	}
	if results[3].Issued.SPIFFEID != workload+"/b" {
		t.Errorf("the last result is for %s", results[3].Issued.SPIFFEID)
	}
	many := make([]server.Request, server.MaxBatch+1)
	if _, err := f.IssueBatch(t.Context(), administrator(policy.RoleOperator), many); code(err) != "invalid_request" {
		t.Errorf("%d requests give %v", len(many), err)
	}
	if _, err := f.IssueBatch(t.Context(), f.enrol(t), reqs[:1]); code(err) != "permission_denied" {
		t.Errorf("a batch with a join token gives %v", err)
	}
}

func TestIdentityRateIsLimited(t *testing.T) {
	f := newFixture(t, func(c *server.Config) { c.IdentityRate, c.IdentityBurst = 0.001, 2 })
	caller := administrator(policy.RoleOperator)
	f.issue(t, caller, request(t, workload))
	f.issue(t, caller, request(t, workload))
	_, err := f.Issue(t.Context(), caller, request(t, workload))
	if failure := server.AsError(err); failure.Kind != server.KindRateLimited || failure.RetryAfter <= 0 {
		t.Errorf("the third request gives %+v", failure)
	}
	f.issue(t, administrator(policy.RoleAdmin), request(t, workload)) // another caller is not held up
}

// silentStore is a database whose connection has died without a word.
type silentStore struct{ server.EntryStore }

func (silentStore) EntryVersion(ctx context.Context) (uint64, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

func TestASilentDatabaseHoldsNobodyUpPastTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *server.Config) { c.Entries = silentStore{c.Entries} })
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		synctest.Wait() // the follower asks, and waits
		start := time.Now()
		deadline, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		caller := policy.Caller{Method: policy.MethodJWT, Subject: "ci job", Issuer: "ci", Claims: map[string]any{}}
		if _, err := f.Issue(deadline, caller, request(t)); code(err) != "unavailable" || time.Since(start) != 100*time.Millisecond {
			t.Errorf("after %s the answer is %v", time.Since(start), err)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A restart near the end of an intermediate's life must not fail for what a profile allows at
// the most.
func TestAServiceStartsWhileItsIssuerCoversTheDurations(t *testing.T) {
	f := newFixture(t)
	for days, ok := range map[int]bool{91: true, 119: true, 121: false} {
		old := catest.New(t, catest.Options{Now: time.Now().AddDate(0, 0, -days)})
		_, err := server.New(server.Config{Set: old.Set(), Issuances: f.out, Records: f.store, Entries: f.store, Tokens: f.store, Revocations: f.store})
		if (err == nil) != ok {
			t.Errorf("on day %d: %v", days, err)
		}
	}
}

func TestAddressRateIsLimited(t *testing.T) {
	f := newFixture(t, func(c *server.Config) { c.AddressRate, c.AddressBurst = 0.001, 2 })
	near := func(role policy.Role) policy.Caller {
		caller := administrator(role)
		caller.Address = "192.0.2.7"
		return caller
	}
	f.issue(t, near(policy.RoleOperator), request(t, workload))
	f.issue(t, near(policy.RoleAdmin), request(t, workload))
	_, err := f.Issue(t.Context(), near(policy.RoleOperator), request(t, workload))
	if failure := server.AsError(err); failure.Kind != server.KindRateLimited || failure.RetryAfter <= 0 {
		t.Errorf("the third request from the address gives %+v", failure)
	}
	far := near(policy.RoleOperator)
	far.Address = "192.0.2.8"
	f.issue(t, far, request(t, workload))
}

func TestANewServiceRefuses(t *testing.T) {
	pki := catest.New(t, catest.Options{Lifetime: 30 * 24 * time.Hour})
	f := newFixture(t)
	good := server.Config{Set: f.pki.Set(), Issuances: f.out, Records: f.store, Entries: f.store, Tokens: f.store, Revocations: f.store}
	for name, change := range map[string]func(*server.Config){
		"no authorities":                        func(c *server.Config) { c.Set = nil },
		"an issuer that cannot cover a profile": func(c *server.Config) { c.Set = pki.Set() },
		"a profile that is defined twice":       func(c *server.Config) { c.Profiles = append(policy.Profiles(), policy.Profiles()[0]) },
		"a profile that is wrong":               func(c *server.Config) { c.Profiles = []policy.Profile{{Name: "x"}} },
		"an administrator outside of /pando/":   func(c *server.Config) { c.Administrators = map[ID]policy.Role{parseID(t, workload): policy.RoleAdmin} },
		"an administrator of another trust domain": func(c *server.Config) {
			c.Administrators = map[ID]policy.Role{parseID(t, "spiffe://example.com/pando/a"): policy.RoleAdmin}
		},
	} {
		cfg := good
		change(&cfg)
		if _, err := server.New(cfg); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
