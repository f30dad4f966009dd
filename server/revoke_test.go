package server_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
)

// revoked counts what an observer is told.
type revoked struct {
	server.Observer
	reasons map[server.Reason]int
}

func (r *revoked) Signed(time.Duration, error) {}
func (r *revoked) Revoked(reason server.Reason, n int) {
	r.reasons[reason] += n
}

// TestRevokingTwice is no error: the first time and reason stand, and are told.
func TestRevokingTwice(t *testing.T) {
	observed := &revoked{reasons: make(map[server.Reason]int)}
	f := newFixture(t, func(cfg *server.Config) { cfg.Observer = observed })
	issued := f.issue(t, administrator(policy.RoleOperator), request(t, workload))
	other := f.replica(t)
	first, err := f.RevokeCertificate(t.Context(), administrator(policy.RoleOperator), issued.Serial, server.ReasonSuperseded)
	if err != nil {
		t.Fatal(err)
	}
	if first.State != "revoked" || first.Reason != server.ReasonSuperseded || time.Since(first.RevokedAt) > time.Minute || first.Serial != issued.Serial {
		t.Errorf("the answer is %+v", first)
	}
	second, err := other.RevokeCertificate(t.Context(), administrator(policy.RoleAdmin), issued.Serial, server.ReasonPrivilegeWithdrawn)
	if diff := cmp.Diff(first, second); err != nil || diff != "" {
		t.Errorf("the second time %v (-first +second):\n%s", err, diff)
	}
	if diff := cmp.Diff(map[server.Reason]int{server.ReasonSuperseded: 1}, observed.reasons); diff != "" {
		t.Errorf("observed (-want +got):\n%s", diff)
	}
	audits, err := f.store.Audits(t.Context(), store.AuditFilter{Limit: 10})
	if err != nil || len(audits) != 1 {
		t.Fatalf("audit rows %v, %v", audits, err)
	}
	want := store.Audit{
		Action: "certificate.revoke", Actor: "ci operator", Target: issued.Serial,
		Detail: map[string]string{"spiffe_id": workload, "reason": "superseded"},
	}
	audits[0].At, audits[0].Seq, audits[0].Link, audits[0].Hash = time.Time{}, 0, 0, nil
	if diff := cmp.Diff(want, audits[0]); diff != "" {
		t.Errorf("audit row (-want +got):\n%s", diff)
	}
}

// TestWhatARevocationStops: once it is acknowledged, the holder gets nothing on any replica,
// whether or not that has heard of it.
func TestWhatARevocationStops(t *testing.T) {
	for name, revoke := range map[string]func(*fixture, *server.Issued) error{
		"by serial number": func(f *fixture, i *server.Issued) error {
			_, err := f.RevokeCertificate(context.Background(), administrator(policy.RoleOperator), i.Serial, "")
			return err
		},
		"by SPIFFE ID": func(f *fixture, _ *server.Issued) error {
			_, err := f.Revoke(context.Background(), administrator(policy.RoleOperator), server.RevocationSpec{SPIFFEID: workload})
			return err
		},
		"by key": func(f *fixture, i *server.Issued) error {
			_, err := f.Revoke(context.Background(), administrator(policy.RoleAdmin), server.RevocationSpec{KeyHash: i.KeyHash, Reason: server.ReasonKeyCompromise})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			onEachStore(t, func(t *testing.T, f *fixture, _ database) {
				issued := f.issue(t, administrator(policy.RoleOperator), request(t, workload))
				holder := f.peer(t, issued)
				f.out.change = func(*store.Issuance) { // at the last moment before the commit
					f.out.change = nil
					if err := revoke(f, issued); err != nil {
						t.Error(err)
					}
				}
				if _, err := f.Renew(t.Context(), holder, request(t)); code(err) != "revoked" {
					t.Errorf("a renewal during the revocation gives %v", err)
				}
				if _, err := f.Renew(t.Context(), holder, request(t)); code(err) != "revoked" {
					t.Errorf("the next renewal gives %v", err)
				}
			})
		})
	}
}

// newIntermediate makes another intermediate under the root of a PKI.
func newIntermediate(t testing.TB, cfg ca.SetConfig) ca.AuthorityConfig {
	t.Helper()
	root := newSet(t, cfg, time.Now()).Roots()[0]
	key := catest.Key(t, ca.ECDSAP256)
	cert, err := ca.NewIntermediate(ca.IntermediateConfig{
		TrustDomain: cfg.TrustDomain, PublicKey: key.Public(), Parent: root, ParentSigner: cfg.Authorities[0].Signer,
		NotBefore: time.Now(), NotAfter: root.NotAfter,
	})
	if err != nil {
		t.Fatal(err)
	}
	return ca.AuthorityConfig{ID: ca.AuthorityID(cert), Role: ca.RoleIntermediate, ParentID: ca.AuthorityID(root), Certificate: cert.Raw, Signer: key}
}

// TestRevokingWhatAnIssuerHasSigned takes its successor first.
func TestRevokingWhatAnIssuerHasSigned(t *testing.T) {
	f := newFixture(t)
	admin := administrator(policy.RoleAdmin)
	f.commit(t, f.pki)
	spec := server.RevocationSpec{Issuer: f.Set().Issuer().ID(), Reason: server.ReasonKeyCompromise}
	victims := []string{workload, workload + "/2", "spiffe://example.org/pando/server"}
	for _, id := range append(victims, workload) {
		f.issue(t, admin, request(t, id))
	}
	if _, err := f.Revoke(t.Context(), admin, spec); code(err) != "conflict" {
		t.Fatalf("while it is active: %v", err)
	}
	cfg := f.pki.SetConfig()
	next := newIntermediate(t, cfg)
	next.State, cfg.Authorities[1].State = ca.StateActive, ca.StateTainted
	cfg.Generation, cfg.Authorities = 2, append(cfg.Authorities, next)
	set := newSet(t, cfg, time.Now())
	f.adopt(t, set)
	if _, err := f.Revoke(t.Context(), admin, spec); code(err) != "conflict" { // the database says so
		t.Errorf("by a replica that is ahead: %v", err)
	}
	gen, err := f.store.Generation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	gen.Number, gen.Authorities[1].State = 2, string(ca.StateTainted)
	if err := f.store.ReplaceGeneration(t.Context(), 1, *gen, store.Fence{}); err != nil {
		t.Fatal(err)
	}
	spec.DryRun = true
	would, err := f.Revoke(t.Context(), admin, spec)
	if diff := cmp.Diff(&server.RevocationResult{Certificates: 4, Identities: 3}, would); err != nil || diff != "" {
		t.Errorf("dry run: %v (-want +got):\n%s", err, diff)
	}
	spec.DryRun = false
	for _, want := range []int{4, 0} {
		did, err := f.Revoke(t.Context(), admin, spec)
		if diff := cmp.Diff(&server.RevocationResult{Certificates: want}, did); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
}

// slow is a store that takes three seconds for a part, and never comes to an end.
type slow struct{ store.Revocations }

func (slow) RevokeSelected(context.Context, store.BulkRevocation) (int, store.Cursor, error) {
	time.Sleep(3 * time.Second)
	return 1000, store.Cursor{Serial: store.Serial{1}}, nil
}

// TestALargeRevocationIsAnsweredInTime, and told to be unfinished.
func TestALargeRevocationIsAnsweredInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(cfg *server.Config) { cfg.Revocations = slow{} })
		start := time.Now()
		result, err := f.Revoke(t.Context(), administrator(policy.RoleAdmin), server.RevocationSpec{SPIFFEID: workload})
		if diff := cmp.Diff(&server.RevocationResult{Certificates: 7000, More: true}, result); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		if took := time.Since(start); took != 21*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

// TestWhatAnOperatorMayRevoke is what is not Pando's own, and not everything at once.
func TestWhatAnOperatorMayRevoke(t *testing.T) {
	f := newFixture(t)
	operator := administrator(policy.RoleOperator)
	own := f.issue(t, administrator(policy.RoleAdmin), request(t, "spiffe://example.org/pando/server"))
	for name, try := range map[string]func() error{
		"Pando's own by serial number": func() error {
			_, err := f.RevokeCertificate(t.Context(), operator, own.Serial, "")
			return err
		},
		"Pando's own by SPIFFE ID": func() error {
			_, err := f.Revoke(t.Context(), operator, server.RevocationSpec{SPIFFEID: own.SPIFFEID})
			return err
		},
		"by key": func() error {
			_, err := f.Revoke(t.Context(), operator, server.RevocationSpec{KeyHash: own.KeyHash, DryRun: true})
			return err
		},
		"by issuer": func() error {
			_, err := f.Revoke(t.Context(), operator, server.RevocationSpec{Issuer: own.Issuer, DryRun: true})
			return err
		},
	} {
		if err := try(); code(err) != "permission_denied" {
			t.Errorf("%s gives %v", name, err)
		}
	}
}

// TestARevokedServingCertificateIsReplacedAtOnce: followers would not talk to this replica.
func TestARevokedServingCertificateIsReplacedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.commit(t, f.pki)
		f.follow(t, f.store, newOpeners(f.pki))
		serving, err := server.NewServing(t.Context(), f.Service, server.ServingConfig{Duration: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- serving.Run(ctx) }()
		synctest.Wait()
		first := serving.Leaf()
		_, err = f.Revoke(t.Context(), administrator(policy.RoleAdmin), server.RevocationSpec{SPIFFEID: "spiffe://example.org/pando/server"})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if serving.Leaf() == first {
			t.Error("the revoked certificate is still shown")
		}
		if n := f.records(t, "spiffe://example.org/pando/server"); n != 2 {
			t.Errorf("there are %d records of serving certificates", n)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
