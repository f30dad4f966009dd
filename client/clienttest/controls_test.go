package clienttest_test

import (
	"errors"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/client"
	"github.com/pando-ca/pando/client/clienttest"
)

// control is a thing that a CA can do to a program, and whether the program has of it what it should.
type control struct {
	do   func(ca *clienttest.CA, source *client.Source)
	want func(before, after client.Status) bool
}

// events is what happens to certificates and authorities.
func events() map[string]control {
	return map[string]control{
		"it does not answer until the certificate expires": {
			do: func(ca *clienttest.CA, source *client.Source) { ca.Expire(source) },
			want: func(_, after client.Status) bool {
				return after.Expired(time.Now()) && after.LastError != nil
			},
		},
		"and then it answers again": {
			do: func(ca *clienttest.CA, source *client.Source) {
				ca.Expire(source)
				ca.Accept()
				pass(time.Minute)
			},
			want: func(_, after client.Status) bool { return !after.Expired(time.Now()) && after.LastError == nil },
		},
		"it wants everything renewed now": {
			do: func(ca *clienttest.CA, _ *client.Source) {
				pass(time.Minute)
				ca.RenewNow()
				synctest.Wait()
			},
			want: func(before, after client.Status) bool {
				return after.Serial != before.Serial && after.LastSuccess.Equal(time.Now())
			},
		},
		"it revokes the serial number": {
			do: func(ca *clienttest.CA, source *client.Source) {
				ca.Revoke(source.Status().Serial)
				pass(time.Minute)
			},
			want: func(before, after client.Status) bool {
				return after.Serial != before.Serial && after.RevokedCertificates == 1
			},
		},
		"it revokes the identity, and will not have it again": {
			do: func(ca *clienttest.CA, _ *client.Source) {
				ca.Refuse("policy_denied", clienttest.Enrol)
				ca.Revoke(web)
				pass(time.Minute)
			},
			want: func(before, after client.Status) bool { return after.Serial == before.Serial && after.Revoked },
		},
		"it has another intermediate": {
			do: func(ca *clienttest.CA, _ *client.Source) {
				ca.RotateIntermediate()
				ca.RenewNow()
				pass(time.Minute)
			},
			want: func(before, after client.Status) bool {
				return after.Issuer != before.Issuer && after.BundleSequence == before.BundleSequence
			},
		},
		"it taints its intermediate": {
			do:   func(ca *clienttest.CA, _ *client.Source) { ca.TaintIntermediate(); pass(time.Minute) },
			want: func(before, after client.Status) bool { return after.Issuer != before.Issuer && !after.Revoked },
		},
		"and revokes it at once": {
			do: func(ca *clienttest.CA, _ *client.Source) {
				ca.TaintIntermediate()
				ca.RevokeTainted()
				pass(time.Minute)
			},
			want: func(before, after client.Status) bool {
				return after.Issuer != before.Issuer && !after.Revoked && after.Following && after.BundleSequence == before.BundleSequence
			},
		},
		"it taints its root, and revokes it when all have renewed": {
			do: func(ca *clienttest.CA, _ *client.Source) {
				ca.TaintRoot()
				pass(time.Minute)
				ca.RevokeTainted()
				pass(time.Minute)
			},
			want: func(before, after client.Status) bool {
				return after.BundleSequence == before.BundleSequence+2 && !after.Revoked && after.Following && after.LastError == nil
			},
		},
		"it taints and revokes its root at once": {
			do: func(ca *clienttest.CA, _ *client.Source) {
				ca.TaintRoot()
				ca.RevokeTainted()
				pass(time.Hour)
			},
			want: func(before, after client.Status) bool {
				return after.Serial != before.Serial && !after.Revoked && after.LastError == nil
			},
		},
	}
}

// faults is what goes wrong at the CA.
func faults() map[string]control {
	return map[string]control{
		"it is down for a while": {
			do: func(ca *clienttest.CA, _ *client.Source) { ca.Down(); pass(40 * time.Minute) },
			want: func(before, after client.Status) bool {
				return after.Serial == before.Serial && after.Failures > 1 && after.FollowError != nil
			},
		},
		"and comes up again": {
			do: func(ca *clienttest.CA, _ *client.Source) {
				ca.Down()
				pass(40 * time.Minute)
				ca.Up()
				pass(2 * time.Minute)
			},
			want: func(before, after client.Status) bool {
				return after.Serial != before.Serial && after.Failures == 0 && after.Following
			},
		},
		"it is slow": {
			do: func(ca *clienttest.CA, _ *client.Source) {
				ca.Slow(9 * time.Second)
				pass(32 * time.Minute)
			},
			want: func(before, after client.Status) bool {
				return after.LastSuccess.Equal(before.RenewalDue.Add(9*time.Second)) && after.Failures == 0
			},
		},
		"it hangs": {
			do:   func(ca *clienttest.CA, _ *client.Source) { ca.Slow(time.Hour); pass(32 * time.Minute) },
			want: func(before, after client.Status) bool { return after.Serial == before.Serial && after.Failures > 0 },
		},
		"it drops a renewal": {
			do: func(ca *clienttest.CA, _ *client.Source) {
				ca.Drop(1, clienttest.Renew)
				pass(32 * time.Minute)
			},
			want: func(before, after client.Status) bool {
				return !after.LastFailure.IsZero() && after.LastError == nil && after.Serial != before.Serial
			},
		},
		"its clock is half a minute behind": {
			do: func(ca *clienttest.CA, _ *client.Source) {
				ca.Skew(-30 * time.Second)
				ca.RenewNow()
				pass(time.Minute)
			},
			want: func(_, after client.Status) bool {
				return after.LastSuccess.Sub(after.NotBefore).Truncate(time.Second) == 90*time.Second && after.LastError == nil
			},
		},
		"its clock is an hour ahead": {
			do:   func(ca *clienttest.CA, _ *client.Source) { ca.Skew(time.Hour); pass(35 * time.Minute) },
			want: func(_, after client.Status) bool { return after.LastError != nil },
		},
		"its certificates get shorter": {
			do: func(ca *clienttest.CA, _ *client.Source) {
				ca.SetLifetime(time.Minute)
				ca.SetRenewAt(0.75)
				pass(40 * time.Minute)
			},
			want: func(_, after client.Status) bool {
				return after.NotAfter.Sub(after.NotBefore) == time.Minute && after.RenewalDue.Sub(after.NotBefore) == 45*time.Second && !after.Expired(time.Now())
			},
		},
	}
}

func TestControls(t *testing.T) {
	controls := events()
	maps.Copy(controls, faults())
	for name, control := range controls {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca := clienttest.New(t, clienttest.Options{})
				source := ca.Open(t, web)
				pass(time.Second)
				before := source.Status()
				control.do(ca, source)
				if after := source.Status(); !control.want(before, after) {
					t.Errorf("status (-before +after):\n%s", cmp.Diff(before, after,
						cmp.Comparer(func(a, b spiffeid.ID) bool { return a == b }), cmp.Comparer(func(a, b error) bool { return errors.Is(a, b) })))
				}
			})
		})
	}
}
