package client_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"testing"
	"time"

	"github.com/pando-ca/pando/api/apitest"
	"github.com/pando-ca/pando/client"
)

// TestPandoItselfIsFollowed follows the real doors, where the fake of the other tests could
// be wrong: a root is prepared, and the new bundle comes back acknowledged.
func TestPandoItselfIsFollowed(t *testing.T) {
	doors := apitest.New(t, apitest.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var roots bytes.Buffer
	for _, root := range doors.PKI.Set().Roots() {
		pem.Encode(&roots, &pem.Block{Type: "CERTIFICATE", Bytes: root.Raw})
	}
	source, err := client.Open(ctx, client.Config{
		Servers: []string{doors.URL}, TrustBundle: roots.Bytes(), Certificate: &doors.TLS(apitest.Workload).Certificates[0],
	})
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	updates := source.Updates(ctx)
	known := doors.PKI.Set().Sequence()
	wait := func(what string, done func(st client.Status) bool) {
		t.Helper()
		for st := range updates {
			if done(st) {
				return
			}
		}
		t.Fatalf("%s: %+v", what, source.Status())
	}
	wait("the renewal of the existing certificate", func(st client.Status) bool { return st.BundleSequence == known })

	prepared := doors.PKI.Prepare(t)
	if err := doors.Service.Adopt(prepared.Set(), time.Now()); err != nil {
		t.Fatal(err)
	}
	next := prepared.Set().Sequence()
	wait("the new bundle", func(st client.Status) bool { return st.BundleSequence == next })
	if n := len(source.Roots()); n != 2 || next <= known {
		t.Errorf("%d roots of sequence %d after %d", n, next, known)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for acknowledged := 0; acknowledged == 0; <-tick.C {
		facts, err := doors.Store.Facts(ctx, time.Now())
		if err != nil {
			t.Fatalf("nothing was acknowledged: %v; %+v", err, source.Status())
		}
		acknowledged = facts.Followers[next]
	}
	if st := source.Status(); !st.Following || st.FollowError != nil {
		t.Errorf("status: %+v", st)
	}
}
