package ca_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
)

// listOf is a good list of the issuer of pki, for a day, with three entries.
func listOf(pki *catest.CA) ca.CRLConfig {
	issuer := pki.SetConfig().Authorities[1]
	return ca.CRLConfig{
		Issuer: pki.Set().Issuer().Certificate(), Signer: issuer.Signer,
		DistributionPoint: "http://pando.example.org/v1/crls/" + issuer.ID + "/3.crl",
		Number:            1_790_000_000, ThisUpdate: noon.Add(-time.Minute), NextUpdate: noon.Add(24 * time.Hour),
		Entries: []ca.CRLEntry{
			{Serial: big.NewInt(7), RevokedAt: noon.Add(-time.Hour), Reason: 1},
			{Serial: new(big.Int).Lsh(big.NewInt(1), 150), RevokedAt: noon.Add(-time.Minute)},
			{Serial: big.NewInt(5), RevokedAt: noon.Add(-2*time.Hour + time.Millisecond), Reason: 9},
		},
	}
}

func TestNewCRL(t *testing.T) {
	cfg := listOf(catest.New(t, catest.Options{Now: noon}))
	list, err := ca.NewCRL(cfg)
	check(t, err)
	check(t, list.CheckSignatureFrom(cfg.Issuer))
	var got []string
	for _, e := range list.RevokedCertificateEntries {
		got = append(got, fmt.Sprintf("%s at %s for %d with %d extensions", e.SerialNumber, e.RevocationTime.Format(time.TimeOnly), e.ReasonCode, len(e.Extensions)))
	}
	want := []string{
		"5 at 10:00:00 for 9 with 1 extensions",
		"7 at 11:00:00 for 1 with 1 extensions",
		new(big.Int).Lsh(big.NewInt(1), 150).String() + " at 11:59:00 for 0 with 0 extensions",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if list.Number.Uint64() != cfg.Number || !list.ThisUpdate.Equal(cfg.ThisUpdate) || !list.NextUpdate.Equal(cfg.NextUpdate) {
		t.Errorf("number %s from %s to %s", list.Number, list.ThisUpdate, list.NextUpdate)
	}
}

// TestDistributionPointIsThatOfTheCertificate compares the URL in the list with that of a
// certificate, octet by octet: this is what a verifier does.
func TestDistributionPointIsThatOfTheCertificate(t *testing.T) {
	pki := catest.New(t, catest.Options{Now: noon, CRLShards: 256, URLs: ca.URLs{CRL: "http://pando.example.org/v1/crls/{authority}/{shard}.crl"}})
	issuer := pki.Set().Issuer()
	cert, err := issuer.Sign(workload(t, catest.Key(t, ca.ECDSAP256).Public()))
	check(t, err)
	want := "http://pando.example.org/v1/crls/" + issuer.ID() + "/" + strconv.Itoa(int(cert.Serial[4])) + ".crl"
	if diff := cmp.Diff([]string{want}, cert.Leaf.CRLDistributionPoints); diff != "" {
		t.Errorf("in the certificate (-want +got):\n%s", diff)
	}
	cfg := listOf(pki)
	cfg.DistributionPoint = want
	list, err := ca.NewCRL(cfg)
	check(t, err)
	point := slices.IndexFunc(cert.Leaf.Extensions, func(e pkix.Extension) bool { return e.Id.String() == "2.5.29.31" })
	inList := slices.IndexFunc(list.Extensions, func(e pkix.Extension) bool { return e.Id.String() == "2.5.29.28" })
	if !list.Extensions[inList].Critical {
		t.Error("the issuing distribution point is not critical")
	}
	// SEQUENCE { SEQUENCE { name } } in the certificate, SEQUENCE { name } in the list.
	if !bytes.Equal(cert.Leaf.Extensions[point].Value[2:], list.Extensions[inList].Value) {
		t.Errorf("%x in the certificate, %x in the list", cert.Leaf.Extensions[point].Value, list.Extensions[inList].Value)
	}
	// What a root signs has the root's one list.
	root := pki.Set().Authorities()[0]
	for name, points := range map[string][]string{
		"intermediate":      issuer.Certificate().CRLDistributionPoints,
		"cross-certificate": lastOf(pki.Prepare(t).Set().Authorities()).Cross().CRLDistributionPoints,
	} {
		if diff := cmp.Diff([]string{"http://pando.example.org/v1/crls/" + root.ID() + "/0.crl"}, points); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func lastOf[T any](all []T) T { return all[len(all)-1] }

func TestNewCRLRefuses(t *testing.T) {
	pki := catest.New(t, catest.Options{Now: noon})
	signsNoLists := *pki.Set().Issuer().Certificate()
	signsNoLists.KeyUsage = x509.KeyUsageCertSign
	leaf := pki.Issue(t, "spiffe://example.org/a", catest.Leaf{})
	for name, spoil := range map[string]func(*ca.CRLConfig){
		"no issuer":                       func(c *ca.CRLConfig) { c.Issuer = nil },
		"no key":                          func(c *ca.CRLConfig) { c.Signer = nil },
		"the key of another":              func(c *ca.CRLConfig) { c.Signer = catest.Key(t, ca.ECDSAP256) },
		"an issuer without cRLSign":       func(c *ca.CRLConfig) { c.Issuer = &signsNoLists },
		"a leaf as issuer":                func(c *ca.CRLConfig) { c.Issuer, c.Signer = leaf.Leaf, leaf.PrivateKey.(crypto.Signer) },
		"no number":                       func(c *ca.CRLConfig) { c.Number = 0 },
		"fractions of a second":           func(c *ca.CRLConfig) { c.NextUpdate = c.NextUpdate.Add(time.Millisecond) },
		"an empty period":                 func(c *ca.CRLConfig) { c.NextUpdate = c.ThisUpdate },
		"a period that goes back":         func(c *ca.CRLConfig) { c.NextUpdate = c.ThisUpdate.Add(-time.Second) },
		"no times":                        func(c *ca.CRLConfig) { c.ThisUpdate, c.NextUpdate = time.Time{}, time.Time{} },
		"a template left in the URL":      func(c *ca.CRLConfig) { c.DistributionPoint += "/{shard}" },
		"a URL that is none":              func(c *ca.CRLConfig) { c.DistributionPoint = "0.crl" },
		"an entry without serial number":  func(c *ca.CRLConfig) { c.Entries[1].Serial = nil },
		"serial number zero":              func(c *ca.CRLConfig) { c.Entries[1].Serial = new(big.Int) },
		"a negative serial number":        func(c *ca.CRLConfig) { c.Entries[1].Serial = big.NewInt(-1) },
		"a serial number twice":           func(c *ca.CRLConfig) { c.Entries[1].Serial = big.NewInt(7) },
		"an entry without a time":         func(c *ca.CRLConfig) { c.Entries[1].RevokedAt = time.Time{} },
		"an entry from after the list":    func(c *ca.CRLConfig) { c.Entries[1].RevokedAt = c.ThisUpdate.Add(time.Second) },
		"the reason certificateHold":      func(c *ca.CRLConfig) { c.Entries[1].Reason = 6 },
		"the reason that is not assigned": func(c *ca.CRLConfig) { c.Entries[1].Reason = 7 },
		"the reason removeFromCRL":        func(c *ca.CRLConfig) { c.Entries[1].Reason = 8 },
		"a reason beyond the last":        func(c *ca.CRLConfig) { c.Entries[1].Reason = 11 },
		"a negative reason":               func(c *ca.CRLConfig) { c.Entries[1].Reason = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := listOf(pki)
			spoil(&cfg)
			if list, err := ca.NewCRL(cfg); err == nil {
				t.Errorf("signed %x", list.Raw)
			}
		})
	}
}

func TestNewCRLRefusesWhatAFaultySignerReturns(t *testing.T) {
	unavailable := errors.New("the key service does not answer")
	for _, alg := range []ca.KeyAlgorithm{ca.ECDSAP256, ca.Ed25519} {
		other := catest.Key(t, alg)
		for name, sign := range map[string]func([]byte, crypto.SignerOpts) ([]byte, error){
			"an error":      func([]byte, crypto.SignerOpts) ([]byte, error) { return nil, unavailable },
			"garbage":       func([]byte, crypto.SignerOpts) ([]byte, error) { return bytes.Repeat([]byte{0x5a}, 64), nil },
			"another key's": func(d []byte, o crypto.SignerOpts) ([]byte, error) { return other.Sign(rand.Reader, d, o) },
		} {
			cfg := listOf(catest.New(t, catest.Options{Now: noon, IntermediateKey: alg}))
			cfg.Signer = faultySigner{cfg.Signer, sign}
			list, err := ca.NewCRL(cfg)
			if err == nil {
				t.Errorf("%s returns %s: signed %x", alg, name, list.Raw)
			}
			if name == "an error" && !errors.Is(err, unavailable) {
				t.Errorf("the signer's error is lost: %v", err)
			}
		}
	}
}

// TestCompareCRL changes a list behind the back of NewCRL, one field at a time.
func TestCompareCRL(t *testing.T) {
	cfg := listOf(catest.New(t, catest.Options{Now: noon}))
	template, err := ca.CRLTemplate(&cfg)
	check(t, err)
	der, err := x509.CreateRevocationList(rand.Reader, template, cfg.Issuer, cfg.Signer)
	check(t, err)
	for name, change := range map[string]func(*x509.RevocationList){
		"nothing":              func(*x509.RevocationList) {},
		"issuer":               func(l *x509.RevocationList) { l.RawIssuer = []byte{0x30, 0} },
		"key identifier":       func(l *x509.RevocationList) { l.AuthorityKeyId = []byte{1} },
		"number":               func(l *x509.RevocationList) { l.Number = big.NewInt(1) },
		"no number":            func(l *x509.RevocationList) { l.Number = nil },
		"thisUpdate":           func(l *x509.RevocationList) { l.ThisUpdate = l.ThisUpdate.Add(time.Second) },
		"nextUpdate":           func(l *x509.RevocationList) { l.NextUpdate = l.NextUpdate.Add(time.Second) },
		"an entry less":        func(l *x509.RevocationList) { l.RevokedCertificateEntries = l.RevokedCertificateEntries[1:] },
		"another certificate":  func(l *x509.RevocationList) { l.RevokedCertificateEntries[0].SerialNumber = big.NewInt(1) },
		"another date":         func(l *x509.RevocationList) { l.RevokedCertificateEntries[0].RevocationTime = noon },
		"another reason":       func(l *x509.RevocationList) { l.RevokedCertificateEntries[0].ReasonCode = 4 },
		"an entry's extension": func(l *x509.RevocationList) { l.RevokedCertificateEntries[2].Extensions = make([]pkix.Extension, 1) },
		"an extension more":    func(l *x509.RevocationList) { l.Extensions = append(l.Extensions, l.Extensions[0]) },
		"another extension":    func(l *x509.RevocationList) { l.Extensions[2].Id = []int{2, 5, 29, 27} },
		"another URL":          func(l *x509.RevocationList) { l.Extensions[2].Value = []byte{0x30, 0} },
		"a URL that is not critical": func(l *x509.RevocationList) {
			l.Extensions[2].Critical = false
		},
		"a critical number": func(l *x509.RevocationList) { l.Extensions[1].Critical = true },
	} {
		list, err := x509.ParseRevocationList(der)
		check(t, err)
		change(list)
		if err := ca.CompareCRL(list, template, cfg.Issuer); (err == nil) != (name == "nothing") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOthersAcceptLists asks openssl and zlint what they think of lists of every kind of key.
func TestOthersAcceptLists(t *testing.T) {
	dir := t.TempDir()
	for _, alg := range ca.KeyAlgorithms() {
		pki := catest.New(t, catest.Options{Now: noon, IntermediateKey: alg})
		issuer := dir + "/issuer.pem"
		check(t, os.WriteFile(issuer, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pki.Set().Issuer().Certificate().Raw}), 0o600))
		full, empty := listOf(pki), listOf(pki)
		empty.Entries, empty.DistributionPoint = nil, ""
		for name, cfg := range map[string]ca.CRLConfig{"full": full, "empty": empty} {
			list, err := ca.NewCRL(cfg)
			check(t, err)
			file := dir + "/list.der"
			check(t, os.WriteFile(file, list.Raw, 0o600))
			text := string(openssl(t, "crl", "-inform", "der", "-in", file, "-noout", "-text", "-CAfile", issuer))
			want := []string{"Version 2", "X509v3 CRL Number: \n                " + strconv.FormatUint(cfg.Number, 10)}
			if name == "full" {
				want = append(want, "X509v3 Issuing Distribution Point: critical", "URI:"+cfg.DistributionPoint, "Key Compromise", "Privilege Withdrawn")
			} else {
				want = append(want, "No Revoked Certificates.")
			}
			for _, line := range want {
				if !bytes.Contains([]byte(text), []byte(line)) {
					t.Errorf("%s, %s: openssl does not see %q in\n%s", alg, name, line, text)
				}
			}
			lintList(t, list.Raw)
		}
	}
}

// lintList runs every lint of lists whose source is RFC 5280. No finding has had to be excused.
func lintList(t *testing.T, der []byte) {
	t.Helper()
	registry, err := lint.GlobalRegistry().Filter(lint.FilterOptions{IncludeSources: lint.SourceList{lint.RFC5280}})
	check(t, err)
	list, err := zx509.ParseRevocationList(der)
	check(t, err)
	passed := 0
	for name, result := range zlint.LintRevocationListEx(list, registry).Results {
		switch {
		case result.Status == lint.Pass:
			passed++
		case result.Status >= lint.Warn:
			t.Errorf("zlint: %s: %s %s", name, result.Status, result.Details)
		}
	}
	if passed < 5 {
		t.Errorf("zlint: only %d lints applied", passed)
	}
}

// BenchmarkNewCRL measures lists of the sizes of docs/crl.md.
func BenchmarkNewCRL(b *testing.B) {
	pki := catest.New(b, catest.Options{Now: noon})
	for _, entries := range []int{0, 1_000, 7_813, 62_500, 1_000_000} {
		b.Run(strconv.Itoa(entries), func(b *testing.B) {
			cfg := listOf(pki)
			cfg.Entries = make([]ca.CRLEntry, entries)
			for i := range cfg.Entries {
				serial, err := ca.NewSerial(rand.Reader, noon.Add(time.Hour))
				check(b, err)
				cfg.Entries[i] = ca.CRLEntry{Serial: serial.Int(), RevokedAt: noon.Add(-time.Hour), Reason: 1}
			}
			b.ReportAllocs()
			for b.Loop() {
				list, err := ca.NewCRL(cfg)
				check(b, err)
				b.ReportMetric(float64(len(list.Raw)), "octets")
			}
		})
	}
}
