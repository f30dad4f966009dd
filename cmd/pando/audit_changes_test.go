package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/ca/mtls"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/rotation"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
)

// changed is a whole server, and what has been changed on it so far.
type changed struct {
	*daemon
	admin policy.Caller
	entry string
	csr   []byte
	leaf  string
	seen  int64 // the last row of the audit
}

// step is one operation that changes something, and the actions of the rows that it leaves: one
// for each thing that has changed.
type step struct {
	op   server.Operation
	do   func(ctx context.Context, caller policy.Caller) error
	want []string
}

// TestEveryChangeLeavesARow carries out every operation that changes something, on a whole server,
// and compares the rows. Who is refused leaves none. An operation that is in neither list fails
// the test.
func TestEveryChangeLeavesARow(t *testing.T) {
	c := newChanged(t)
	reads := []server.Operation{
		server.OpGetCertificate, server.OpListCertificates, server.OpGetNewest, server.OpRenewalInfo, server.OpListIdentities,
		server.OpGetBundle, server.OpGetEntry, server.OpListEntries, server.OpGetAuthority, server.OpListAuthorities,
		server.OpListJobs, server.OpGetIncident, server.OpListIncidents, server.OpListAudit, server.OpGetOverview, server.OpDiagnose,
		server.OpListMTLSPolicies, server.OpListMTLSOverrides, server.OpGetEffectiveMTLS, server.OpListMTLSReadiness,
		// Issuance is a record; an acknowledgement is told with the poll, and is no change, nor is what a
		// program has seen.
		server.OpSign, server.OpRenew, server.OpTrust, server.OpReportMTLS,
	}
	steps := c.steps(t)
	for _, s := range steps {
		if err := s.do(t.Context(), policy.Caller{Method: policy.MethodJWT, Subject: "ci job"}); err == nil {
			t.Errorf("%s by anybody is not refused", s.op)
		}
		if rows := c.rows(t); rows != nil {
			t.Errorf("%s, refused, leaves %v", s.op, rows)
		}
		if err := s.do(t.Context(), c.admin); err != nil {
			t.Fatalf("%s: %v", s.op, err)
		}
		var want []string
		for _, action := range s.want {
			want = append(want, c.admin.Subject+" "+action)
		}
		if diff := cmp.Diff(want, c.rows(t)); diff != "" {
			t.Errorf("rows of %s (-want +got):\n%s", s.op, diff)
		}
	}
	for _, op := range server.Operations() {
		changes := slices.ContainsFunc(steps, func(s step) bool { return s.op == op })
		if changes == slices.Contains(reads, op) {
			t.Errorf("operation %s must be in one of the lists", op)
		}
	}
	c.checkScheduler(t)
	c.checkChain(t)
}

func newChanged(t *testing.T) *changed {
	t.Helper()
	d := newDeployment(t, "")
	cfg, err := configSource{data: d.data, env: d.env}.load()
	if err != nil {
		t.Fatal(err)
	}
	built, err := newDaemon(t.Context(), &cfg, "", newLog(io.Discard, &cfg.Log))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = built.close() })
	ctx, stop := context.WithCancel(t.Context())
	followed := make(chan error, 1)
	go func() { followed <- built.follow(ctx) }()
	t.Cleanup(func() { stop(); <-followed })
	c := &changed{daemon: built, admin: policy.Caller{Method: policy.MethodJWT, Subject: "ci admin", Role: policy.RoleAdmin}}
	if rows := c.rows(t); !slices.Equal(rows, []string{"pando init generation.replace"}) {
		t.Errorf("pando init leaves %v", rows)
	}
	return c
}

// rows are those that came since the last look: who has done what.
func (c *changed) rows(t *testing.T) []string {
	t.Helper()
	rows, err := c.db.Audits(context.WithoutCancel(t.Context()), store.AuditFilter{Oldest: true, After: c.seen, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, a := range rows {
		c.seen = a.Seq
		found = append(found, a.Actor+" "+a.Action)
		if a.Target == "" || a.At.IsZero() {
			t.Errorf("a row lacks something: %+v", a)
		}
	}
	return found
}

// steps are all operations that change something, in an order in which they can be carried out.
func (c *changed) steps(t *testing.T) []step {
	t.Helper()
	order := func(o server.AuthorityOrder) func(context.Context, policy.Caller) error {
		return func(ctx context.Context, caller policy.Caller) error {
			o := o
			if o.Authority != "" {
				o.Authority = c.authority(t, o.Authority)
			}
			if o.Action == server.ActionReissue {
				c.issue(t) // or there would be nobody
			}
			o.Reason = "a test"
			_, err := c.service.Order(ctx, caller, o)
			return err
		}
	}
	return append(append(c.rules(t), c.modes()...), []step{
		{server.OpRunJob, func(ctx context.Context, caller policy.Caller) error {
			_, err := c.service.RunJob(ctx, caller, rotation.JobPrune)
			return err
		}, []string{"job.run"}},
		{server.OpRequestAuthority, func(ctx context.Context, caller policy.Caller) error {
			request, err := c.service.RequestAuthority(ctx, caller, false)
			if err == nil {
				c.csr = request.CSR
			}
			return err
		}, []string{"authority.request"}},
		{server.OpImportAuthority, func(ctx context.Context, caller policy.Caller) error {
			_, err := c.service.ImportAuthority(ctx, caller, c.signed(t))
			return err
		}, []string{"authority.supersede", "authority.activate"}},
		{server.OpRotateAuthority, order(server.AuthorityOrder{Action: server.ActionRotate, Role: ca.RoleIntermediate}), []string{"authority.supersede", "authority.activate"}},
		{server.OpCreateIncident, order(server.AuthorityOrder{Action: server.ActionReissue}), []string{"incident.declare"}},
		{server.OpPrepareAuthority, order(server.AuthorityOrder{Action: server.ActionPrepare}), []string{"authority.prepare"}},
		{server.OpActivateAuthority, order(server.AuthorityOrder{Action: server.ActionActivate, Authority: "prepared", Force: true}), []string{
			"authority.supersede", "authority.supersede", "authority.activate", "authority.activate",
		}},
		{server.OpTaintAuthority, order(server.AuthorityOrder{Action: server.ActionTaint, Authority: "active"}), []string{
			"authority.taint", "authority.taint", "authority.activate", "authority.activate", "incident.declare",
		}},
		{server.OpRevokeAuthority, order(server.AuthorityOrder{Action: server.ActionRevoke, Authority: "tainted", Force: true}), []string{
			"authority.revoke", "authority.revoke",
		}},
	}...)
}

// rules are the operations on entries, tokens and certificates.
func (c *changed) rules(t *testing.T) []step {
	t.Helper()
	return []step{
		{server.OpCreateEntry, func(ctx context.Context, caller policy.Caller) error {
			entry, err := c.service.CreateEntry(ctx, caller, policy.EntrySpec{SPIFFEID: "spiffe://example.org/web", Method: policy.MethodJoinToken})
			if err == nil {
				c.entry = entry.ID
			}
			return err
		}, []string{"entry.create"}},
		{server.OpCreateJoinToken, func(ctx context.Context, caller policy.Caller) error {
			_, err := c.service.CreateJoinToken(ctx, caller, c.entry, 0)
			return err
		}, []string{"join_token.create"}},
		{server.OpDeleteEntry, func(ctx context.Context, caller policy.Caller) error {
			return c.service.DeleteEntry(ctx, caller, c.entry)
		}, []string{"entry.delete"}},
		{server.OpRevokeCertificate, func(ctx context.Context, caller policy.Caller) error {
			if c.leaf == "" {
				c.leaf = c.issue(t)
			}
			_, err := c.service.RevokeCertificate(ctx, caller, c.leaf, server.ReasonSuperseded)
			return err
		}, []string{"certificate.revoke"}},
		{server.OpCreateRevocation, func(ctx context.Context, caller policy.Caller) error {
			c.issue(t)
			_, err := c.service.Revoke(ctx, caller, server.RevocationSpec{SPIFFEID: "spiffe://example.org/web", Reason: server.ReasonSuperseded})
			return err
		}, []string{"revocation.create"}},
	}
}

// modes are the operations on policies and overrides of mutual TLS.
func (c *changed) modes() []step {
	const pattern, reason = "/ns/**", "a test"
	var override string
	return []step{
		{server.OpSetMTLSPolicy, func(ctx context.Context, caller policy.Caller) error {
			_, err := c.service.SetMTLSPolicy(ctx, caller, server.MTLSPolicySpec{Pattern: pattern, Mode: mtls.ModePermissive})
			return err
		}, []string{"mtls_policy.set"}},
		{server.OpDeleteMTLSPolicy, func(ctx context.Context, caller policy.Caller) error {
			return c.service.DeleteMTLSPolicy(ctx, caller, pattern, "", nil)
		}, []string{"mtls_policy.delete"}},
		{server.OpStartMTLSOverride, func(ctx context.Context, caller policy.Caller) error {
			started, err := c.service.StartMTLSOverride(ctx, caller, server.MTLSOverrideSpec{Pattern: pattern, Reason: reason})
			if err == nil {
				override = started.ID
			}
			return err
		}, []string{"mtls_override.start"}},
		{server.OpEndMTLSOverride, func(ctx context.Context, caller policy.Caller) error {
			_, err := c.service.EndMTLSOverride(ctx, caller, override, reason)
			return err
		}, []string{"mtls_override.end"}},
	}
}

// issue issues a certificate, and returns its serial number.
func (c *changed) issue(t *testing.T) string {
	t.Helper()
	_, der := catest.CSR(t, ca.ECDSAP256)
	web, err := spiffeid.Parse("spiffe://example.org/web")
	if err != nil {
		t.Fatal(err)
	}
	issued, err := c.service.Issue(t.Context(), c.admin, server.Request{CSR: der, Want: policy.Want{ID: web}})
	if err != nil {
		t.Fatal(err)
	}
	return issued.Serial
}

// authority is the ID of the root in a state.
func (c *changed) authority(t *testing.T, state string) string {
	t.Helper()
	gen, err := c.db.Generation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range gen.Authorities {
		if a.State == state && a.Role == string(ca.RoleRoot) {
			return a.ID
		}
	}
	return "none"
}

// signed is an intermediate for the request, signed with the key of the active root.
func (c *changed) signed(t *testing.T) string {
	t.Helper()
	if c.csr == nil {
		return "none"
	}
	request, err := x509.ParseCertificateRequest(c.csr)
	if err != nil {
		t.Fatal(err)
	}
	gen, err := c.db.Generation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	td := c.service.Set().TrustDomain()
	at := slices.IndexFunc(gen.Authorities, func(a store.Authority) bool { return a.ID == c.authority(t, "active") })
	signer, err := c.vault.keys.Open(gen.Authorities[at].Key, ca.KeyLabel(td, ca.RoleRoot))
	if err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(gen.Authorities[at].Certificate)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.NewIntermediate(ca.IntermediateConfig{
		TrustDomain: td, PublicKey: request.PublicKey, Parent: root, ParentSigner: signer,
		NotBefore: time.Now(), NotAfter: time.Now().Add(180 * 24 * time.Hour), URLs: c.cfg.urls(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
}

// checkScheduler: what the rotation does by itself has a row, too, and what it does every time
// anew has none.
func (c *changed) checkScheduler(t *testing.T) {
	t.Helper()
	if err := c.rotator.Tick(t.Context(), time.Now().Add(90*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	rows := c.rows(t)
	if len(rows) == 0 || slices.ContainsFunc(rows, func(row string) bool {
		return !strings.HasPrefix(row, "pando rotation authority.") && !strings.HasPrefix(row, "pando rotation incident.")
	}) {
		t.Errorf("the scheduler leaves %v", rows)
	}
	for _, job := range []string{rotation.JobPrune, rotation.JobCRLs, rotation.JobFigures, rotation.JobPreRenew} {
		if err := c.scheduler.RunNow(t.Context(), job); err != nil {
			t.Fatal(err)
		}
	}
	if rows := c.rows(t); rows != nil {
		t.Errorf("upkeep leaves %v", rows)
	}
}

// checkChain: all of it fits.
func (c *changed) checkChain(t *testing.T) {
	t.Helper()
	rows, err := c.db.Audits(t.Context(), store.AuditFilter{Oldest: true, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	var verifier store.AuditVerifier
	for i := range rows {
		if err := verifier.Add(&rows[i]); err != nil {
			t.Fatal(err)
		}
	}
	if summary, err := verifier.End(); err != nil || summary.Rows != len(rows) {
		t.Errorf("%s", fmt.Sprint(summary, err))
	}
}
