package server_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/sqlite"
)

const (
	adminID  = "spiffe://example.org/pando/admin/ann"
	workload = "spiffe://example.org/ns/a/web"
)

// fixture is a service on a real store, in memory.
type fixture struct {
	*server.Service
	pki   *catest.CA
	store *sqlite.Store
	out   *outlet
}

// outlet stands between the service and the batcher, and can fail before or after the commit.
type outlet struct {
	server.Issuances
	mu     sync.Mutex
	before error // refuse without writing
	after  error // write, and then say that it failed
	change func(*store.Issuance)
}

func (o *outlet) Insert(ctx context.Context, i *store.Issuance, now time.Time) error {
	o.mu.Lock()
	before, after, change := o.before, o.after, o.change
	o.mu.Unlock()
	if change != nil {
		change(i)
	}
	if before != nil {
		return before
	}
	return errors.Join(o.Issuances.Insert(ctx, i, now), after)
}

func newFixture(t testing.TB, change ...func(*server.Config)) *fixture {
	t.Helper()
	db, err := sqlite.OpenMemory(t.Context())
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
	f := &fixture{pki: catest.New(t, catest.Options{Now: time.Now().Add(-time.Hour)}), store: db, out: &outlet{Issuances: batcher}}
	f.serve(t, change...)
	return f
}

// replica is another service of the same CA on the same store.
func (f *fixture) replica(t testing.TB, change ...func(*server.Config)) *fixture {
	t.Helper()
	r := &fixture{pki: f.pki, store: f.store, out: f.out}
	r.serve(t, change...)
	return r
}

func (f *fixture) serve(t testing.TB, change ...func(*server.Config)) {
	t.Helper()
	cfg := server.Config{
		Set: f.pki.Set(), Issuances: f.out, Records: f.store, Entries: f.store, Tokens: f.store, Revocations: f.store,
		Holdings: f.store, Fleet: f.store, MTLS: f.store,
		Administrators: map[spiffeid.ID]policy.Role{parseID(t, adminID): policy.RoleAdmin},
		Issuers:        []string{"ci"},
	}
	for _, c := range change {
		c(&cfg)
	}
	var err error
	if f.Service, err = server.New(cfg); err != nil {
		t.Fatal(err)
	}
}

func parseID(t testing.TB, text string) spiffeid.ID {
	t.Helper()
	id, err := spiffeid.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// administrator is a caller with a role by JWT, so that it needs no certificate of its own.
func administrator(role policy.Role) policy.Caller {
	return policy.Caller{Method: policy.MethodJWT, Subject: "ci " + string(role), Issuer: "ci", Role: role}
}

// entry makes a rule and returns its ID.
func (f *fixture) entry(t testing.TB, spec policy.EntrySpec) string {
	t.Helper()
	e, err := f.CreateEntry(t.Context(), administrator(policy.RoleAdmin), spec)
	if err != nil {
		t.Fatal(err)
	}
	return e.ID
}

// enrol makes an entry and a token for it, and returns the caller that shows the token.
func (f *fixture) enrol(t testing.TB) policy.Caller {
	t.Helper()
	entry := f.entry(t, policy.EntrySpec{SPIFFEID: workload, Method: policy.MethodJoinToken, DNSNames: []string{"web.example.org"}})
	token, err := f.CreateJoinToken(t.Context(), administrator(policy.RoleOperator), entry, 0)
	if err != nil {
		t.Fatal(err)
	}
	return f.caller(t, token.Secret)
}

// caller is what authentication makes of a join token.
func (f *fixture) caller(t testing.TB, secret string) policy.Caller {
	t.Helper()
	hash := sha256.Sum256([]byte(secret))
	token, ok, err := f.JoinToken(t.Context(), hash)
	if err != nil || !ok {
		t.Fatalf("join token is not found: %v", err)
	}
	return policy.Caller{
		Method: policy.MethodJoinToken, Subject: token.ID, Address: "192.0.2.1",
		TokenHash: hash, EntryID: token.EntryID, Spent: token.Spent,
	}
}

// peer is what authentication makes of a certificate.
func (f *fixture) peer(t testing.TB, issued *server.Issued) policy.Caller {
	t.Helper()
	peer, err := f.Peer(parseChain(t, issued.Chain), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return policy.Caller{Method: policy.MethodPeer, Subject: peer.ID.String(), Address: "192.0.2.2", ID: peer.ID, Serial: peer.Serial, Fingerprint: peer.Fingerprint, Role: peer.Role}
}

func parseChain(t testing.TB, text string) []*x509.Certificate {
	t.Helper()
	var chain []*x509.Certificate
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return chain
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, cert)
	}
}

func request(t testing.TB, names ...string) server.Request {
	t.Helper()
	_, der := catest.CSR(t, ca.ECDSAP256, names...)
	return server.Request{CSR: der, RequestID: "req-1"}
}

// issue issues or fails the test.
func (f *fixture) issue(t testing.TB, caller policy.Caller, req server.Request) *server.Issued {
	t.Helper()
	issued, err := f.Issue(t.Context(), caller, req)
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

// records counts the records of an identity.
func (f *fixture) records(t testing.TB, id string) int {
	t.Helper()
	rows, err := f.store.Records(t.Context(), store.RecordFilter{SPIFFEID: id, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return len(rows)
}

func code(err error) string {
	if err == nil {
		return ""
	}
	return server.AsError(err).Code
}

func newSet(t testing.TB, cfg ca.SetConfig, now time.Time) *ca.Set {
	t.Helper()
	set, err := ca.NewSet(cfg, now)
	if err != nil {
		t.Fatal(err)
	}
	return set
}
