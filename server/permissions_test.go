package server_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
)

// ID is short for the tables.
type ID = spiffeid.ID

// Every use case against every role. The doors have a table of their own over their routes.
func TestWhoMayDoWhat(t *testing.T) {
	f := newFixture(t, func(cfg *server.Config) {
		cfg.Jobs, cfg.Imports, cfg.Orders, cfg.Incidents = &jobs{}, adopting{}, orders{}, orders{}
	})
	ctx := t.Context()
	issued := f.issue(t, f.enrol(t), request(t))
	entry := f.entry(t, policy.EntrySpec{SPIFFEID: workload, Method: policy.MethodJoinToken})

	operations := map[server.Operation]func(policy.Caller) error{
		server.OpGetCertificate:   func(c policy.Caller) error { _, err := f.Certificate(ctx, c, issued.Serial); return err },
		server.OpListCertificates: func(c policy.Caller) error { _, err := f.Certificates(ctx, c, server.CertificateFilter{}); return err },
		server.OpGetEntry:         func(c policy.Caller) error { _, err := f.GetEntry(ctx, c, entry); return err },
		server.OpListEntries:      func(c policy.Caller) error { _, err := f.ListEntries(ctx, c, server.EntryFilter{}); return err },
		server.OpCreateEntry: func(c policy.Caller) error {
			_, err := f.CreateEntry(ctx, c, policy.EntrySpec{SPIFFEID: workload, Method: policy.MethodJoinToken})
			return err
		},
		server.OpDeleteEntry: func(c policy.Caller) error {
			return f.DeleteEntry(ctx, c, f.entry(t, policy.EntrySpec{SPIFFEID: workload, Method: policy.MethodJoinToken}))
		},
		server.OpCreateJoinToken:  func(c policy.Caller) error { _, err := f.CreateJoinToken(ctx, c, entry, 0); return err },
		server.OpSign:             func(c policy.Caller) error { _, err := f.Issue(ctx, c, request(t, workload+"/other")); return err },
		server.OpRenew:            func(c policy.Caller) error { _, err := f.Renew(ctx, c, request(t)); return err },
		server.OpGetBundle:        func(policy.Caller) error { f.Bundle(); return nil },
		server.OpGetNewest:        func(c policy.Caller) error { _, err := f.Newest(ctx, c); return err },
		server.OpRenewalInfo:      func(c policy.Caller) error { _, err := f.RenewalInfo(ctx, c, issued.Serial); return err },
		server.OpListIdentities:   func(c policy.Caller) error { _, err := f.ListIdentities(ctx, c, server.IdentityFilter{}); return err },
		server.OpTrust:            func(c policy.Caller) error { _, err := f.Trust(ctx, c, server.Known{}, 0); return err },
		server.OpListAuthorities:  func(c policy.Caller) error { _, err := f.Authorities(ctx, c); return err },
		server.OpGetAuthority:     func(c policy.Caller) error { _, err := f.Authority(ctx, c, f.Set().Issuer().ID()); return err },
		server.OpRequestAuthority: func(c policy.Caller) error { _, err := f.RequestAuthority(ctx, c, false); return err },
		server.OpImportAuthority: func(c policy.Caller) error {
			chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Set().Issuer().Certificate().Raw})
			_, err := f.ImportAuthority(ctx, c, string(chain))
			return err
		},
		server.OpListJobs: func(c policy.Caller) error { _, err := f.ListJobs(ctx, c); return err },
		server.OpRunJob:   func(c policy.Caller) error { _, err := f.RunJob(ctx, c, "prune"); return err },
		server.OpRevokeCertificate: func(c policy.Caller) error {
			spare := f.issue(t, administrator(policy.RoleAdmin), request(t, workload+"/spare"))
			_, err := f.RevokeCertificate(ctx, c, spare.Serial, server.ReasonSuperseded)
			return err
		},
		server.OpCreateRevocation: func(c policy.Caller) error {
			_, err := f.Revoke(ctx, c, server.RevocationSpec{SPIFFEID: workload + "/spare"})
			return err
		},
		server.OpDiagnose:      func(c policy.Caller) error { _, err := f.Diagnose(ctx, c, nil); return err },
		server.OpListAudit:     func(c policy.Caller) error { _, err := f.ListAudit(ctx, c, server.AuditFilter{}); return err },
		server.OpGetOverview:   func(c policy.Caller) error { _, err := f.Overview(ctx, c, 0); return err },
		server.OpListIncidents: func(c policy.Caller) error { _, err := f.Incidents(ctx, c); return err },
		server.OpGetIncident:   func(c policy.Caller) error { _, err := f.Incident(ctx, c, "i"); return err },
	}
	maps.Copy(operations, mtlsOperations(f))
	byHand := map[server.Operation]server.AuthorityOrder{
		server.OpPrepareAuthority:  {Action: server.ActionPrepare},
		server.OpRotateAuthority:   {Action: server.ActionRotate, Role: ca.RoleIntermediate},
		server.OpActivateAuthority: {Action: server.ActionActivate},
		server.OpTaintAuthority:    {Action: server.ActionTaint, Reason: "r"},
		server.OpRevokeAuthority:   {Action: server.ActionRevoke, Reason: "r"},
		server.OpCreateIncident:    {Action: server.ActionReissue, Reason: "r"},
	}
	for op, order := range byHand {
		operations[op] = func(c policy.Caller) error { _, err := f.Order(ctx, c, order); return err }
	}
	for _, op := range server.Operations() {
		if operations[op] == nil {
			t.Errorf("%s is not in the table", op)
		}
	}

	holder := f.peer(t, issued)
	callers := map[string]policy.Caller{
		"anonymous": {}, "workload": holder, "viewer": administrator(policy.RoleViewer),
		"operator": administrator(policy.RoleOperator), "admin": administrator(policy.RoleAdmin),
		"unknown role": administrator("root"),
	}
	const denied = "permission_denied"
	expect := map[server.Operation]map[string]string{
		server.OpGetBundle:        {},
		server.OpTrust:            {"anonymous": "unauthenticated"},
		server.OpSign:             {"anonymous": "unauthenticated", "workload": "policy_denied", "viewer": "policy_denied", "unknown role": "policy_denied"},
		server.OpRenew:            {"anonymous": "unauthenticated", "viewer": denied, "operator": denied, "admin": denied, "unknown role": denied},
		server.OpRenewalInfo:      {"anonymous": "unauthenticated", "unknown role": denied},
		server.OpGetCertificate:   {"anonymous": "unauthenticated", "workload": denied, "unknown role": denied},
		server.OpCreateEntry:      {"anonymous": "unauthenticated", "workload": denied, "viewer": denied, "unknown role": denied},
		server.OpRequestAuthority: {"anonymous": "unauthenticated", "workload": denied, "viewer": denied, "operator": denied, "unknown role": denied},
		server.OpImportAuthority:  {"anonymous": "unauthenticated", "workload": denied, "viewer": denied, "operator": denied, "unknown role": denied},
		server.OpRunJob:           {"anonymous": "unauthenticated", "workload": denied, "viewer": denied, "operator": denied, "unknown role": denied},
	}
	for _, op := range []server.Operation{
		server.OpListCertificates, server.OpListIdentities, server.OpGetEntry, server.OpListEntries,
		server.OpListAuthorities, server.OpGetAuthority, server.OpListJobs, server.OpListIncidents, server.OpGetIncident,
		server.OpListAudit, server.OpGetOverview, server.OpDiagnose,
	} {
		expect[op] = expect[server.OpGetCertificate]
	}
	expect[server.OpGetNewest] = expect[server.OpRenew]
	for _, op := range []server.Operation{server.OpDeleteEntry, server.OpCreateJoinToken, server.OpRevokeCertificate, server.OpCreateRevocation} {
		expect[op] = expect[server.OpCreateEntry]
	}
	for op := range byHand {
		expect[op] = expect[server.OpRunJob]
	}
	for _, op := range []server.Operation{server.OpListMTLSPolicies, server.OpListMTLSOverrides, server.OpGetEffectiveMTLS, server.OpListMTLSReadiness} {
		expect[op] = expect[server.OpGetCertificate]
	}
	expect[server.OpStartMTLSOverride], expect[server.OpEndMTLSOverride] = expect[server.OpCreateEntry], expect[server.OpCreateEntry]
	expect[server.OpSetMTLSPolicy], expect[server.OpDeleteMTLSPolicy] = expect[server.OpRunJob], expect[server.OpRunJob]
	expect[server.OpReportMTLS] = expect[server.OpRenew]
	for op, do := range operations {
		for role, caller := range callers {
			if got, want := code(do(caller)), expect[op][role]; got != want {
				t.Errorf("%s by %s gives %q, want %q", op, role, got, want)
			}
		}
	}
}

func TestOnlyAnAdministratorTouchesPandosOwn(t *testing.T) {
	f := newFixture(t)
	own := policy.EntrySpec{SPIFFEID: "spiffe://example.org/pando/admin/bob", Method: policy.MethodJoinToken}
	operator, admin := administrator(policy.RoleOperator), administrator(policy.RoleAdmin)
	if _, err := f.CreateEntry(t.Context(), operator, own); code(err) != "permission_denied" {
		t.Errorf("an operator who makes such an entry gets %v", err)
	}
	entry := f.entry(t, own)
	if _, err := f.CreateJoinToken(t.Context(), operator, entry, 0); code(err) != "permission_denied" {
		t.Errorf("an operator who makes a token for it gets %v", err)
	}
	if err := f.DeleteEntry(t.Context(), operator, entry); code(err) != "permission_denied" {
		t.Errorf("an operator who deletes it gets %v", err)
	}
	token, err := f.CreateJoinToken(t.Context(), admin, entry, 0)
	if err != nil {
		t.Fatal(err)
	}
	bob := f.issue(t, f.caller(t, token.Secret), request(t))
	if role := f.peer(t, bob).Role; role != policy.RoleNone {
		t.Errorf("an identity that the configuration gives no role has the role %q", role)
	}
}

// Whoever signs a CSR that somebody else has made, and forgets to say for whom, gives nothing
// away: the own identity has to be renewed in so many words.
func TestAnAdministratorDoesNotSignTheOwnIdentityByMistake(t *testing.T) {
	f := newFixture(t, func(c *server.Config) {
		c.Administrators[parseID(t, "spiffe://example.org/pando/admin/vic")] = policy.RoleViewer
		c.Administrators[parseID(t, "spiffe://example.org/pando/admin/oli")] = policy.RoleOperator
	})
	for _, id := range []string{adminID, "spiffe://example.org/pando/admin/vic", "spiffe://example.org/pando/admin/oli"} {
		self := f.peer(t, f.issue(t, administrator(policy.RoleAdmin), request(t, id)))
		if _, err := f.Issue(t.Context(), self, request(t)); code(err) != "policy_denied" {
			t.Errorf("%s signs a CSR without a name: %v", id, err)
		}
		results, err := f.IssueBatch(t.Context(), self, []server.Request{request(t)})
		if err != nil || code(results[0].Err) != "policy_denied" {
			t.Errorf("%s signs a batch without a name: %v, %v", id, results, err)
		}
		if renewed, err := f.Renew(t.Context(), self, request(t)); err != nil || renewed.SPIFFEID != id {
			t.Errorf("%s cannot renew: %v", id, err)
		}
	}
}

func TestARevokedAdministratorIsOutAtOnce(t *testing.T) {
	f := newFixture(t)
	issued := f.issue(t, administrator(policy.RoleAdmin), request(t, adminID))
	ann := f.peer(t, issued)
	if ann.Role != policy.RoleAdmin {
		t.Fatalf("the role of %s is %q", adminID, ann.Role)
	}
	if _, err := f.ListEntries(t.Context(), ann, server.EntryFilter{}); err != nil {
		t.Fatal(err)
	}
	serial, err := ca.ParseSerial(issued.Serial)
	if err != nil {
		t.Fatal(err)
	}
	audit := store.Audit{At: time.Now(), Actor: "test", Action: "test", Target: "test"}
	if err := f.store.Revoke(t.Context(), store.Serial(serial), time.Now(), 1, audit); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ListEntries(t.Context(), ann, server.EntryFilter{}); code(err) != "revoked" {
		t.Errorf("a revoked administrator gets %v", err)
	}
	if _, err := f.Issue(t.Context(), ann, request(t, workload)); code(err) != "revoked" {
		t.Errorf("a revoked administrator who signs gets %v", err)
	}
}

func TestEntriesAndTokensAreChecked(t *testing.T) {
	f := newFixture(t)
	admin := administrator(policy.RoleAdmin)
	for name, spec := range map[string]policy.EntrySpec{
		"no method":                  {SPIFFEID: workload},
		"an unknown profile":         {SPIFFEID: workload, Method: policy.MethodJoinToken, Profile: "nope"},
		"an unknown issuer":          {SPIFFEID: workload, Method: policy.MethodJWT, Issuer: "nope", Claims: map[string]string{"sub": "x"}},
		"another trust domain":       {SPIFFEID: "spiffe://example.com/x", Method: policy.MethodJoinToken},
		"names its profile forbids":  {SPIFFEID: workload, Method: policy.MethodJoinToken, DNSNames: []string{"*.example.org"}},
		"a DNS name twice":           {SPIFFEID: workload, Method: policy.MethodJoinToken, DNSNames: []string{"a.b", "a.b"}},
		"a missing DNS name":         {SPIFFEID: workload, Method: policy.MethodJoinToken, Profile: "server"},
		"an ID that is not a URI":    {SPIFFEID: "web", Method: policy.MethodJoinToken},
		"an upper-case DNS wildcard": {SPIFFEID: workload, Method: policy.MethodJoinToken, DNSNames: []string{"*.*.example.org"}},
	} {
		if _, err := f.CreateEntry(t.Context(), admin, spec); code(err) != "invalid_request" {
			t.Errorf("an entry with %s gives %v", name, err)
		}
	}
	made, err := f.CreateEntry(t.Context(), admin, policy.EntrySpec{SPIFFEID: workload, Method: policy.MethodJoinToken})
	if err != nil {
		t.Fatal(err)
	}
	entry := made.ID
	if stored, err := f.GetEntry(t.Context(), admin, entry); err != nil || !stored.CreatedAt.Equal(made.CreatedAt) {
		t.Errorf("made at %s, and stored at %s: %v", made.CreatedAt, stored.CreatedAt, err)
	}
	byJWT := f.entry(t, policy.EntrySpec{SPIFFEID: workload, Method: policy.MethodJWT, Issuer: "ci", Claims: map[string]string{"sub": "x"}})
	for name, c := range map[string]struct {
		entry string
		ttl   time.Duration
		code  string
	}{
		"no such entry":     {"ent_none", 0, "not_found"},
		"an entry for JWTs": {byJWT, 0, "invalid_request"},
		"a negative life":   {entry, -time.Second, "invalid_request"},
		"a life of a year":  {entry, 365 * 24 * time.Hour, "invalid_request"},
	} {
		if _, err := f.CreateJoinToken(t.Context(), admin, c.entry, c.ttl); code(err) != c.code {
			t.Errorf("a token with %s gives %v, want %s", name, err, c.code)
		}
	}
	if err := f.DeleteEntry(t.Context(), admin, "ent_none"); code(err) != "not_found" {
		t.Errorf("deleting what is not there gives %v", err)
	}
	rows, err := f.store.Audits(t.Context(), store.AuditFilter{Limit: 100})
	if err != nil || len(rows) != 2 {
		t.Errorf("two changes left %d audit rows: %v", len(rows), err)
	}
}

func TestListingIsPaged(t *testing.T) {
	f := newFixture(t)
	operator := administrator(policy.RoleOperator)
	want := map[string]bool{}
	for range 5 {
		want[f.issue(t, operator, request(t, workload)).Serial] = true
	}
	page1 := f.issue(t, operator, request(t, workload+"/other"))
	filter := server.CertificateFilter{SPIFFEID: workload, State: "live", PageSize: 2}
	pages := 0
	for {
		page, err := f.Certificates(t.Context(), operator, filter)
		if err != nil {
			t.Fatal(err)
		}
		pages++
		for _, c := range page.Certificates {
			if !want[c.Serial] || c.State != "live" || c.SPIFFEID != workload {
				t.Errorf("page %d shows %+v", pages, c)
			}
			delete(want, c.Serial)
		}
		if filter.PageToken = page.NextPageToken; filter.PageToken == "" {
			break
		}
	}
	if len(want) != 0 || pages != 3 {
		t.Errorf("%d pages left out %v", pages, want)
	}
	for _, bad := range []server.CertificateFilter{{State: "dead"}, {PageSize: -1}, {PageSize: 5000}, {PageToken: "x"}, {PageToken: "1.zz"}} {
		if _, err := f.Certificates(t.Context(), operator, bad); code(err) != "invalid_request" {
			t.Errorf("the filter %+v gives %v", bad, err)
		}
	}
	for _, written := range []string{page1.Serial, strings.TrimLeft(page1.Serial, "0"), strings.ToUpper(page1.Serial)} {
		if got, err := f.Certificate(t.Context(), operator, written); err != nil || got.Serial != page1.Serial {
			t.Errorf("the serial number written as %q finds %+v: %v", written, got, err)
		}
	}
	if _, err := f.ListEntries(t.Context(), operator, server.EntryFilter{PageToken: "zzzz"}); code(err) != "invalid_request" {
		t.Errorf("a page token that is none gives %v", err)
	}
	entry := f.entry(t, policy.EntrySpec{SPIFFEID: workload, Method: policy.MethodJoinToken})
	f.entry(t, policy.EntrySpec{SPIFFEID: workload, Method: policy.MethodJoinToken})
	page, err := f.ListEntries(t.Context(), operator, server.EntryFilter{PageSize: 1})
	if err != nil || len(page.Entries) != 1 || page.NextPageToken == "" {
		t.Fatalf("the first page of entries is %+v: %v", page, err)
	}
	page, err = f.ListEntries(t.Context(), operator, server.EntryFilter{PageSize: 1, PageToken: page.NextPageToken})
	if err != nil || len(page.Entries) != 1 || page.NextPageToken != "" {
		t.Errorf("the last page of entries is %+v: %v", page, err)
	}
	if got, err := f.GetEntry(t.Context(), operator, entry); err != nil || got.SPIFFEID != workload {
		t.Errorf("the entry is %+v: %v", got, err)
	}
}

// adopting is an Imports that takes everything.
type adopting struct{}

func (adopting) Request(context.Context, bool, string, time.Time) (*server.AuthorityRequest, error) {
	return &server.AuthorityRequest{}, nil
}

func (adopting) Import(context.Context, *x509.Certificate, *x509.Certificate, string, time.Time) ([]string, error) {
	return nil, nil
}
