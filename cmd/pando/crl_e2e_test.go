package main

import (
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/postgres"
	"github.com/pando-ca/pando/store/storetest/pgtest"
)

// TestCRLsWithOpenssl revokes a certificate of a running server, fetches the lists that the certificates
// name over plain HTTP, and has openssl judge both chains.
func TestCRLsWithOpenssl(t *testing.T) {
	t.Setenv("PANDO_URLS_CRL", "http://pki.example.org/v1/crls/{authority}/{shard}.crl")
	t.Setenv("PANDO_CRL_SCHEDULE", "@every 1s")
	t.Setenv("PANDO_CRL_SHARDS", "4")
	database := pgtest.New(t)
	d := newDeployment(t, database)
	d.serve(t)
	db, err := postgres.Open(t.Context(), postgres.Config{URL: database})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	client := d.client(t, true)
	lists := crlReader{t: t, public: d.addr.Public, dir: t.TempDir()}
	good, bad := lists.sign(client, db), lists.sign(client, db)
	for good.CRLDistributionPoints[0] != bad.CRLDistributionPoints[0] { // one list has to tell them apart
		good = lists.sign(client, db)
	}
	gen, err := db.Generation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	issuer := lists.parse(gen.Authorities[1].Certificate)
	rootList := lists.fetch(issuer)
	if before := lists.fetch(bad); len(before.RevokedCertificateEntries) != 0 {
		t.Errorf("before the revocation the list holds %d entries", len(before.RevokedCertificateEntries))
	}
	for name, leaf := range map[string]*x509.Certificate{"good": good, "bad": bad} {
		if out, err := lists.verify(leaf, issuer, lists.fetch(leaf), rootList); err != nil {
			t.Errorf("%s certificate before the revocation: %v: %s", name, err, out)
		}
	}

	serial, _ := ca.SerialOf(bad)
	if err := db.Revoke(t.Context(), store.Serial(serial), time.Now(), 1, store.Audit{At: time.Now(), Actor: "test", Action: "certificate.revoke"}); err != nil {
		t.Fatal(err)
	}
	revoked := time.Now()
	list := lists.fetch(bad)
	for len(list.RevokedCertificateEntries) == 0 && time.Since(revoked) < startLimit {
		time.Sleep(50 * time.Millisecond)
		list = lists.fetch(bad)
	}
	t.Logf("on the list %s after the revocation", time.Since(revoked).Round(time.Millisecond))
	if n := len(list.RevokedCertificateEntries); n != 1 || list.RevokedCertificateEntries[0].SerialNumber.Cmp(bad.SerialNumber) != 0 {
		t.Fatalf("the list holds %d entries", n)
	}
	text := lists.openssl("crl", "-inform", "der", "-in", lists.file("list.der", "", list.Raw), "-noout", "-text")
	for _, want := range []string{"X509v3 Issuing Distribution Point: critical", "URI:" + bad.CRLDistributionPoints[0], "Key Compromise"} {
		if !strings.Contains(text, want) {
			t.Errorf("openssl does not see %q in\n%s", want, text)
		}
	}
	if out, err := lists.verify(good, issuer, list, rootList); err != nil {
		t.Errorf("the good certificate: %v: %s", err, out)
	}
	if out, err := lists.verify(bad, issuer, list, rootList); err == nil || !strings.Contains(out, "certificate revoked") {
		t.Errorf("the revoked certificate: %v: %s", err, out)
	}
}

// crlReader is a verifier that fetches lists.
type crlReader struct {
	t           *testing.T
	public, dir string
}

// sign obtains a certificate, and reads it from its record.
func (r crlReader) sign(client *restClient, records store.Records) *x509.Certificate {
	r.t.Helper()
	serial, err := client.sign(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	record, err := records.Record(r.t.Context(), storeSerial(r.t, serial))
	if err != nil {
		r.t.Fatal(err)
	}
	return r.parse(record.Certificate)
}

func (r crlReader) parse(der []byte) *x509.Certificate {
	r.t.Helper()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		r.t.Fatal(err)
	}
	return cert
}

// fetch gets the list that a certificate names, from the public door of the server under test.
func (r crlReader) fetch(cert *x509.Certificate) *x509.RevocationList {
	r.t.Helper()
	point, err := url.Parse(cert.CRLDistributionPoints[0])
	if err != nil {
		r.t.Fatal(err)
	}
	response, err := http.Get("http://" + r.public + point.Path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "application/pkix-crl" {
		r.t.Fatalf("%s: %s, %v", point, response.Status, err)
	}
	list, err := x509.ParseRevocationList(body)
	if err != nil {
		r.t.Fatal(err)
	}
	return list
}

// file writes octets, as PEM under a label if there is one, and returns the path.
func (r crlReader) file(name, label string, der []byte) string {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if label != "" {
		der = pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der})
	}
	if err := os.WriteFile(path, der, 0o600); err != nil {
		r.t.Fatal(err)
	}
	return path
}

func (r crlReader) openssl(args ...string) string {
	r.t.Helper()
	out, err := exec.Command("openssl", args...).CombinedOutput()
	if err != nil {
		r.t.Fatalf("openssl %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// verify asks openssl about a chain, every certificate of it against a list, the root's included.
func (r crlReader) verify(leaf, issuer *x509.Certificate, leafList, rootList *x509.RevocationList) (string, error) {
	r.t.Helper()
	response, err := http.Get("http://" + r.public + "/v1/bundle.pem")
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	roots, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	out, err := exec.Command("openssl", "verify", "-x509_strict", "-crl_check_all", "-CAfile", r.file("bundle.pem", "", roots),
		"-untrusted", r.file("issuer.pem", "CERTIFICATE", issuer.Raw),
		"-CRLfile", r.file("leaf.crl", "X509 CRL", leafList.Raw), "-CRLfile", r.file("root.crl", "X509 CRL", rootList.Raw),
		r.file("leaf.pem", "CERTIFICATE", leaf.Raw)).CombinedOutput()
	return string(out), err
}
