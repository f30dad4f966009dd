package ca_test

import (
	"crypto/x509"
	"encoding/hex"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
)

func TestKeysOfRevokedAuthoritiesAreKnownUntilTheyExpire(t *testing.T) {
	cfg := catest.New(t, catest.Options{Now: noon}).SetConfig()
	var want []string
	for _, state := range []ca.State{ca.StateRevoked, ca.StateTainted, ca.StateRetired, ca.StateRevoked} {
		sibling := siblingIn(t, cfg, state)
		cfg.Authorities = append(cfg.Authorities, sibling)
		if state == ca.StateRevoked {
			hash, err := ca.HashPublicKey(sibling.Signer.Public())
			check(t, err)
			want = append(want, hex.EncodeToString(hash[:]))
		}
	}
	slices.Sort(want)
	set, err := ca.NewSet(cfg, noon)
	check(t, err)
	sibling, ok := set.Authority(cfg.Authorities[len(cfg.Authorities)-1].ID)
	if !ok {
		t.Fatal("the sibling is not there")
	}
	end := sibling.Certificate().NotAfter
	for name, c := range map[string]struct {
		now  time.Time
		want []string
	}{
		"while they could be used":         {noon, want},
		"in the last second of their life": {end, want},
		"after they have expired":          {end.Add(time.Second), nil},
	} {
		if diff := cmp.Diff(c.want, set.RevokedKeys(c.now)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestAuthoritiesAreFoundByWhatTheyOwn(t *testing.T) {
	_, pki := catest.NewRotating(t, catest.Options{Now: noon})
	set, crosses := pki.Set(), 0
	for i, want := range set.Authorities() {
		certificates := []*x509.Certificate{want.Certificate()}
		if der := pki.SetConfig().Authorities[i].CrossCertificate; der != nil {
			cross, err := x509.ParseCertificate(der)
			check(t, err)
			certificates = append(certificates, cross)
			crosses++
		}
		for _, certificate := range certificates {
			serial, ok := ca.SerialOf(certificate)
			if got, found := set.AuthorityBySerial(serial); !ok || !found || got != want {
				t.Errorf("serial number %s leads to %v, want %s", serial, got, want.ID())
			}
		}
		hash, err := ca.HashPublicKey(want.Certificate().PublicKey)
		check(t, err)
		if got, found := set.AuthorityByKey(hash); !found || got != want {
			t.Errorf("key %x leads to %v, want %s", hash, got, want.ID())
		}
	}
	if crosses == 0 {
		t.Error("no authority had a cross-certificate")
	}
	if got, found := set.AuthorityBySerial(ca.Serial{18: 1}); found {
		t.Errorf("a serial number of nobody leads to %s", got.ID())
	}
	if got, found := set.AuthorityByKey(ca.KeyHash{1}); found {
		t.Errorf("a key of nobody leads to %s", got.ID())
	}
}
