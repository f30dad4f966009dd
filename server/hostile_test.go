package server_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/server/metrics"
	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/postgres"
	"github.com/pando-ca/pando/store/sqlite"
	"github.com/pando-ca/pando/store/storetest/pgtest"
)

// database is what a service and its tests ask of a store.
type database interface {
	store.Inserter
	store.Records
	store.Revocations
	store.Tokens
	server.EntryStore
	io.Closer
}

// onEachStore runs a test on a service over each store.
func onEachStore(t *testing.T, test func(t *testing.T, f *fixture, db database)) {
	open := map[string]func(*testing.T) (database, error){
		"SQLite": func(t *testing.T) (database, error) { return sqlite.OpenMemory(t.Context()) },
		"Postgres": func(t *testing.T) (database, error) {
			cfg := postgres.Config{URL: pgtest.New(t)}
			if err := postgres.Migrate(t.Context(), cfg); err != nil {
				return nil, err
			}
			return postgres.Open(t.Context(), cfg)
		},
	}
	for name, open := range open {
		t.Run(name, func(t *testing.T) {
			db, err := open(t)
			if err != nil {
				t.Fatal(err)
			}
			batcher, err := store.NewBatcher(store.BatcherConfig{Inserter: db})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				batcher.Close()
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			})
			out := &outlet{Issuances: batcher}
			f := newFixture(t, func(c *server.Config) {
				c.Issuances, c.Records, c.Entries, c.Tokens, c.Revocations = out, db, db, db, db
			})
			f.out = out
			test(t, f, db)
		})
	}
}

// TestAKeyBlockedBeforeTheCommit blocks the key once everything has been checked and signed, at
// the last moment before the record is written.
func TestAKeyBlockedBeforeTheCommit(t *testing.T) {
	onEachStore(t, func(t *testing.T, f *fixture, db database) {
		audit := store.Audit{At: time.Now(), Actor: "test", Action: "key.block", Target: "key"}
		f.out.change = func(i *store.Issuance) {
			if err := db.BlockKey(t.Context(), i.KeyHash, time.Now(), audit); err != nil {
				t.Error(err)
			}
		}
		issued, err := f.Issue(t.Context(), administrator(policy.RoleOperator), request(t, workload))
		if issued != nil || code(err) != "key_blocked" {
			t.Errorf("the answer is %v, %v", issued, err)
		}
		rows, err := db.Records(t.Context(), store.RecordFilter{SPIFFEID: workload, Limit: 10})
		if err != nil || len(rows) != 0 {
			t.Errorf("there are %d records, %v", len(rows), err)
		}
	})
}

// TestTextsThatNoStoreKeeps sends texts that Postgres would fail on wherever a caller names
// something: a mistake of the caller is told as one.
func TestTextsThatNoStoreKeeps(t *testing.T) {
	const viewer, operator = policy.RoleViewer, policy.RoleOperator
	onEachStore(t, func(t *testing.T, f *fixture, _ database) {
		ctx := t.Context()
		for _, text := range []string{"a\x00b", "\xff"} {
			claims := policy.EntrySpec{SPIFFEID: workload, Method: policy.MethodJWT, Issuer: "ci"}
			name, value := claims, claims
			name.Claims, value.Claims = map[string]string{text: "x"}, map[string]string{"x": text}
			calls := map[string]func() error{
				"a filter by SPIFFE ID": func() error {
					_, err := f.Certificates(ctx, administrator(viewer), server.CertificateFilter{SPIFFEID: text})
					return err
				},
				"a filter by issuer": func() error {
					_, err := f.Certificates(ctx, administrator(viewer), server.CertificateFilter{Issuer: text})
					return err
				},
				"a filter of entries": func() error {
					_, err := f.ListEntries(ctx, administrator(viewer), server.EntryFilter{SPIFFEID: text})
					return err
				},
				"a filter by method": func() error {
					_, err := f.ListEntries(ctx, administrator(viewer), server.EntryFilter{Method: policy.Method(text)})
					return err
				},
				"a page token": func() error {
					_, err := f.ListEntries(ctx, administrator(viewer), server.EntryFilter{PageToken: text})
					return err
				},
				"an entry to look up":    func() error { _, err := f.GetEntry(ctx, administrator(viewer), text); return err },
				"an entry to delete":     func() error { return f.DeleteEntry(ctx, administrator(operator), text) },
				"an entry for a token":   func() error { _, err := f.CreateJoinToken(ctx, administrator(operator), text, 0); return err },
				"the name of a claim":    func() error { _, err := f.CreateEntry(ctx, administrator(operator), name); return err },
				"the value of a claim":   func() error { _, err := f.CreateEntry(ctx, administrator(operator), value); return err },
				"a certificate's serial": func() error { _, err := f.Certificate(ctx, administrator(viewer), text); return err },
			}
			for name, call := range calls {
				if err := call(); code(err) != "invalid_request" {
					t.Errorf("%q as %s gives %v", text, name, err)
				}
			}
		}
		for _, token := range []string{"9223372036854775807.", "-9223372036854775808."} {
			filter := server.CertificateFilter{PageToken: token + strings.Repeat("0", 38)}
			if _, err := f.Certificates(ctx, administrator(viewer), filter); code(err) == "internal" {
				t.Errorf("the page token %s gives %v", token, err)
			}
		}
	})
}

// TestNoCertificateForTheKeyOfACA signs CSRs with the CA's own keys, as every caller.
func TestNoCertificateForTheKeyOfACA(t *testing.T) {
	f := newFixture(t)
	f.entry(t, policy.EntrySpec{SPIFFEID: workload, Method: policy.MethodJWT, Issuer: "ci", Claims: map[string]string{"team": "a"}})
	for _, authority := range f.pki.SetConfig().Authorities {
		csr := catest.CSRFor(t, authority.Signer, workload)
		callers := map[string]policy.Caller{
			"a join token":     f.enrol(t),
			"a JWT":            {Method: policy.MethodJWT, Subject: "ci job", Issuer: "ci", Claims: map[string]any{"team": "a"}},
			"a certificate":    f.peer(t, f.issue(t, f.enrol(t), request(t))),
			"an administrator": administrator(policy.RoleAdmin),
		}
		before := f.records(t, workload)
		for name, caller := range callers {
			_, err := f.Issue(t.Context(), caller, server.Request{CSR: csr})
			if failure := server.AsError(err); err == nil || failure.Rule != string(policy.RuleCAKey) {
				t.Errorf("%s gets %v for the key of the %s", name, err, authority.Role)
			}
			results, err := f.IssueBatch(t.Context(), caller, []server.Request{{CSR: csr}})
			if err == nil && server.AsError(results[0].Err).Rule != string(policy.RuleCAKey) {
				t.Errorf("%s gets %v for the key of the %s in a batch", name, results[0], authority.Role)
			}
		}
		if after := f.records(t, workload); after != before {
			t.Errorf("%d records were written", after-before)
		}
	}
}

// TestWildcardsNeedAProfileThatAllowsThem asks for the same wildcard in each way that leads to
// a DNS name, under a profile that allows it and under one that does not.
func TestWildcardsNeedAProfileThatAllowsThem(t *testing.T) {
	const name, loose, strict = "*.web.example.org", "loose", "strict"
	f := newFixture(t, func(c *server.Config) {
		wild, tame := policy.Profiles()[0], policy.Profiles()[0]
		wild.Name, wild.WildcardDNSNames, tame.Name = loose, true, strict
		c.Profiles = []policy.Profile{wild, tame}
	})
	byToken := func(profile string, req server.Request) (*server.Issued, error) {
		entry := f.storedEntry(t, store.Entry{SPIFFEID: workload, Method: "join_token", DNSNames: []string{name}, Profile: profile})
		token, err := f.CreateJoinToken(t.Context(), administrator(policy.RoleOperator), entry, 0)
		if err != nil {
			t.Fatal(err)
		}
		return f.Issue(t.Context(), f.caller(t, token.Secret), req)
	}
	ways := map[string]func(profile string) (*server.Issued, error){
		"an entry for a join token":      func(p string) (*server.Issued, error) { return byToken(p, request(t)) },
		"an entry, and named in the CSR": func(p string) (*server.Issued, error) { return byToken(p, request(t, name)) },
		"an administrator, in the CSR":   func(p string) (*server.Issued, error) { return f.sign(t, p, request(t, workload, name)) },
		"an administrator, in the request": func(p string) (*server.Issued, error) {
			req := request(t, workload)
			req.Want.DNSNames = []string{name}
			return f.sign(t, p, req)
		},
		"an entry for a JWT": func(p string) (*server.Issued, error) {
			f.storedEntry(t, store.Entry{
				SPIFFEID: workload, Method: "jwt", DNSNames: []string{name}, Profile: p,
				Issuer: "ci", Claims: map[string]string{"profile": p},
			})
			job := policy.Caller{Method: policy.MethodJWT, Subject: "ci job", Issuer: "ci", Claims: map[string]any{"profile": p}}
			return f.Issue(t.Context(), job, request(t))
		},
	}
	for way, ask := range ways {
		t.Run(way, func(t *testing.T) {
			if issued, err := ask(loose); err != nil || len(issued.DNSNames) != 1 || issued.DNSNames[0] != name {
				t.Errorf("where it is allowed: %+v, %v", issued, err)
			}
			if _, err := ask(strict); server.AsError(err).Rule != string(policy.RuleDNSName) {
				t.Errorf("where it is not: %v", err)
			}
		})
	}
}

// storedEntry writes an entry past the service, as one that was made when its profile was
// another one.
func (f *fixture) storedEntry(t *testing.T, e store.Entry) string {
	t.Helper()
	e.ID, e.CreatedAt, e.CreatedBy = "ent_"+rand.Text(), time.Now(), "test"
	audit := store.Audit{At: time.Now(), Actor: "test", Action: "entry.create", Target: e.ID}
	if err := f.store.CreateEntry(t.Context(), e, audit); err != nil {
		t.Fatal(err)
	}
	return e.ID
}

// sign signs as an operator under a profile.
func (f *fixture) sign(t *testing.T, profile string, req server.Request) (*server.Issued, error) {
	t.Helper()
	req.Want.Profile = profile
	return f.Issue(t.Context(), administrator(policy.RoleOperator), req)
}

// brokenSigner has the right public key and answers with whatever answer returns.
type brokenSigner struct {
	crypto.Signer
	answer func() ([]byte, error)
}

func (s brokenSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return s.answer() }

// TestABrokenSignerIsCounted asks a service whose key does not sign: nothing leaves, nothing is
// recorded, the caller learns nothing, and the metric that alerts counts each try.
func TestABrokenSignerIsCounted(t *testing.T) {
	for name, answer := range map[string]func() ([]byte, error){
		"an error": func() ([]byte, error) { return nil, errors.New("the module of serial number 4711 is gone") },
		"garbage":  func() ([]byte, error) { return make([]byte, 70), nil },
		"nothing":  func() ([]byte, error) { return nil, nil },
	} {
		t.Run(name, func(t *testing.T) {
			observer := metrics.New(metrics.Config{})
			f := newFixture(t, func(c *server.Config) { c.Observer = observer })
			cfg := f.pki.SetConfig()
			cfg.Authorities[1].Signer = brokenSigner{cfg.Authorities[1].Signer, answer}
			if err := f.Adopt(newSet(t, cfg, time.Now()), time.Now()); err != nil {
				t.Fatal(err)
			}
			_, err := f.Issue(t.Context(), administrator(policy.RoleOperator), request(t, workload))
			if failure := server.AsError(err); failure.Code != "internal" || strings.Contains(failure.Message, "4711") {
				t.Errorf("the answer is %+v", failure)
			}
			results, err := f.IssueBatch(t.Context(), administrator(policy.RoleOperator), []server.Request{request(t, workload)})
			if err != nil || code(results[0].Err) != "internal" {
				t.Errorf("a batch gives %+v, %v", results, err)
			}
			if n := f.records(t, workload); n != 0 {
				t.Errorf("%d records were written", n)
			}
			scrape := httptest.NewRecorder()
			observer.Handler().ServeHTTP(scrape, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
			if want := `pando_signer_errors_total{backend="sealed"} 2`; !strings.Contains(scrape.Body.String(), want) {
				t.Errorf("the metrics lack %s", want)
			}
		})
	}
}

// TestABatchIsPaidForInFull: a batch may exceed the burst, and what it exceeds it by is waited
// for afterwards. Otherwise batches would be a way around the rate.
func TestABatchIsPaidForInFull(t *testing.T) {
	f := newFixture(t, func(c *server.Config) { c.IdentityRate, c.IdentityBurst = 0.1, 2 })
	caller := administrator(policy.RoleOperator)
	batch := make([]server.Request, 7)
	for i := range batch {
		batch[i] = request(t, workload)
	}
	if _, err := f.IssueBatch(t.Context(), caller, batch); err != nil {
		t.Fatal(err)
	}
	_, err := f.Issue(t.Context(), caller, request(t, workload))
	// Five are owed and the sixth is asked for, at ten seconds each.
	if failure := server.AsError(err); failure.Kind != server.KindRateLimited || failure.RetryAfter < 55*time.Second {
		t.Errorf("after the batch: %+v", failure)
	}
}

// TestEveryCertificateVerifiesUnderItsChain looks at what leaves from the side of a verifier,
// for each kind of key.
func TestEveryCertificateVerifiesUnderItsChain(t *testing.T) {
	f := newFixture(t)
	for _, alg := range ca.KeyAlgorithms() {
		_, csr := catest.CSR(t, alg, workload)
		chain := parseChain(t, f.issue(t, administrator(policy.RoleOperator), server.Request{CSR: csr}).Chain)
		intermediates := x509.NewCertPool()
		for _, c := range chain[1:] {
			intermediates.AddCert(c)
		}
		if _, err := chain[0].Verify(x509.VerifyOptions{Roots: f.pki.RootPool(), Intermediates: intermediates}); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

// failing writes nothing of a batch, or says so although it has.
type failing struct {
	server.Issuances
	written bool
	err     error
}

func (f failing) InsertAll(ctx context.Context, all []*store.Issuance, now time.Time) []error {
	errs := make([]error, len(all))
	if f.written {
		errs = f.Issuances.InsertAll(ctx, all, now)
	}
	for i := range errs {
		errs[i] = errors.Join(errs[i], f.err)
	}
	return errs
}

// TestNothingLeavesFromABatchThatFailed lets the commit of a batch fail, or only look as if it
// had: no certificate of it is released.
func TestNothingLeavesFromABatchThatFailed(t *testing.T) {
	for name, f := range map[string]failing{
		"before the commit": {err: store.ErrUnavailable},
		"after the commit":  {err: store.ErrUnavailable, written: true},
		"by too many":       {err: store.ErrOverloaded},
	} {
		t.Run(name, func(t *testing.T) {
			fixture := newFixture(t, func(c *server.Config) {
				f.Issuances = c.Issuances
				c.Issuances = f
			})
			reqs := []server.Request{request(t, workload), request(t, workload)}
			results, err := fixture.IssueBatch(t.Context(), administrator(policy.RoleOperator), reqs)
			if err != nil {
				t.Fatal(err)
			}
			for _, result := range results {
				failure := server.AsError(result.Err)
				if result.Issued != nil || failure.Kind != server.KindUnavailable || failure.RetryAfter <= 0 {
					t.Errorf("the result is %+v, %+v", result.Issued, failure)
				}
			}
		})
	}
}
