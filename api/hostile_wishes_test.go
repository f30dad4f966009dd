package api_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	apiv1 "github.com/pando-ca/pando/api/v1"

	"github.com/pando-ca/pando/api/apitest"
	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
)

const password = "correct-horse-battery-staple" // of the challengePassword attribute

// wishes are the extensions that a greedy CSR asks for.
func wishes(t *testing.T) []pkix.Extension {
	t.Helper()
	oid := func(parts ...int) asn1.ObjectIdentifier { return parts }
	value := func(v any) []byte {
		der, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	type constraints struct{ CA bool }
	uri := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte("http://evil.example")}
	return []pkix.Extension{
		{Id: oid(2, 5, 29, 19), Critical: true, Value: value(constraints{true})},
		{Id: oid(2, 5, 29, 15), Critical: true, Value: value(asn1.BitString{Bytes: []byte{0x06}, BitLength: 8})}, // keyCertSign, cRLSign
		{Id: oid(2, 5, 29, 37), Value: value([]asn1.ObjectIdentifier{oid(2, 5, 29, 37, 0), oid(1, 3, 6, 1, 5, 5, 7, 3, 9)})},
		{Id: oid(2, 5, 29, 30), Critical: true, Value: value([]asn1.RawValue{})},
		{Id: oid(1, 3, 6, 1, 5, 5, 7, 1, 1), Value: value([][]any{})},
		{Id: oid(2, 5, 29, 31), Value: value([]asn1.RawValue{uri})},
		{Id: oid(2, 5, 29, 32), Value: value([][]asn1.ObjectIdentifier{{oid(2, 5, 29, 32, 0)}})},
		{Id: oid(1, 2, 3, 4, 5), Critical: true, Value: []byte{5, 0}},
	}
}

// greedyCSR is signed correctly and asks for everything: a subject, a CA's extensions, and an
// attribute with a password.
func greedyCSR(t *testing.T) []byte {
	t.Helper()
	key := catest.Key(t, ca.ECDSAP256).(*ecdsa.PrivateKey)
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	type attribute struct {
		ID     asn1.ObjectIdentifier
		Values []any `asn1:"set"`
	}
	type information struct {
		Version    int
		Subject    pkix.RDNSequence
		SPKI       asn1.RawValue
		Attributes []attribute `asn1:"tag:0,set"`
	}
	subject := pkix.Name{CommonName: "root", Organization: []string{"Evil"}, OrganizationalUnit: []string{"admins"}, SerialNumber: "1"}
	signed, err := asn1.Marshal(information{
		Subject: subject.ToRDNSequence(), SPKI: asn1.RawValue{FullBytes: spki},
		Attributes: []attribute{
			{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 7}, []any{password}},
			{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 14}, []any{wishes(t)}},
			{asn1.ObjectIdentifier{1, 2, 3, 4, 6}, []any{password}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(signed)
	signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := asn1.Marshal(struct {
		Information asn1.RawValue
		Algorithm   pkix.AlgorithmIdentifier
		Signature   asn1.BitString
	}{
		asn1.RawValue{FullBytes: signed},
		pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}},
		asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

// TestWishesOfACSRAreNotGranted answers a CSR that asks for everything, through both doors, and
// holds the certificate against a list of what may be in one.
func TestWishesOfACSRAreNotGranted(t *testing.T) {
	var log buffer
	doors := apitest.New(t, apitest.Options{Log: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	csr := greedyCSR(t)
	if request, err := x509.ParseCertificateRequest(csr); err != nil || len(request.Extensions) != len(wishes(t)) || request.Subject.CommonName != "root" {
		t.Fatalf("the CSR does not ask for what it is to ask for: %+v, %v", request, err)
	}
	sign := signing(&apiv1.SignCertificateRequest{CsrDer: csr, SpiffeId: "spiffe://example.org/web"})
	renew := post("/v1/certificates/renew", apiv1.CertificateService_RenewCertificate_FullMethodName,
		&apiv1.RenewCertificateRequest{CsrDer: csr}, &apiv1.SignCertificateResponse{})
	for name, c := range map[string]struct {
		role    apitest.Role
		request request
		id      string
	}{
		"an administrator signs": {apitest.Operator, sign, "spiffe://example.org/web"},
		"a workload renews":      {apitest.Workload, renew, apitest.ID(apitest.Workload)},
	} {
		t.Run(name, func(t *testing.T) {
			c.request.body = toJSON(t, c.request.message)
			_, body, code := overREST(t, doors, doors.HTTP(t, c.role), c.request)
			if code != "ok" {
				t.Fatalf("REST answers %s", body)
			}
			overHTTP := &apiv1.SignCertificateResponse{}
			fromJSON(t, body, overHTTP)
			checkGranted(t, overHTTP.GetCertificateChain(), c.id)
			answer, code := overGRPC(t, doors.GRPC(t, c.role), c.request)
			if code != "ok" {
				t.Fatalf("gRPC answers %s", code)
			}
			checkGranted(t, answer.(*apiv1.SignCertificateResponse).GetCertificateChain(), c.id)
		})
	}
	if text := log.String(); strings.Contains(text, password) || strings.Contains(text, "Evil") || !strings.Contains(text, "certificates.sign") {
		t.Errorf("the log:\n%s", text)
	}
}

// checkGranted holds a certificate against what one may have in it.
func checkGranted(t *testing.T, chain, id string) {
	t.Helper()
	block, _ := pem.Decode([]byte(chain))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	var oids []string
	for _, e := range cert.Extensions {
		oids = append(oids, e.Id.String())
	}
	slices.Sort(oids)
	// Subject and authority key identifier, key usage, extended key usage, basic constraints
	// and the alternative name; the PKI of the test publishes no URLs.
	want := []string{"2.5.29.14", "2.5.29.15", "2.5.29.17", "2.5.29.19", "2.5.29.35", "2.5.29.37"}
	if diff := cmp.Diff(want, oids); diff != "" {
		t.Errorf("extensions (-want +got):\n%s", diff)
	}
	usages := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	switch {
	case cert.IsCA, cert.KeyUsage != x509.KeyUsageDigitalSignature, !slices.Equal(cert.ExtKeyUsage, usages), len(cert.UnknownExtKeyUsage) > 0:
		t.Errorf("CA %t, key usage %b, extended key usage %v and %v", cert.IsCA, cert.KeyUsage, cert.ExtKeyUsage, cert.UnknownExtKeyUsage)
	case len(cert.Subject.Names) > 0:
		t.Errorf("the subject is %s", cert.Subject)
	case len(cert.URIs) != 1 || cert.URIs[0].String() != id || len(cert.DNSNames)+len(cert.IPAddresses)+len(cert.EmailAddresses) > 0:
		t.Errorf("the names are %v %v %v %v", cert.URIs, cert.DNSNames, cert.IPAddresses, cert.EmailAddresses)
	}
}

// TestDurationsThatAreNone sends a validity period of zero or below in every way that one can
// be written.
func TestDurationsThatAreNone(t *testing.T) {
	doors := apitest.New(t, apitest.Options{})
	client := doors.HTTP(t, apitest.Operator)
	csr := pemCSR(t)
	for _, text := range []string{"0s", "0", "-0s", "-1h", "0.0h", "1", "1d", "x", "9223372037s"} {
		query := doors.URL + "/v1/certificates?spiffe_id=spiffe://example.org/web&duration=" + text
		response, err := client.Post(query, "application/pkcs10", strings.NewReader(csr))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusBadRequest {
			t.Errorf("a bare CSR with the duration %s is answered with %s", text, response.Status)
		}
		body := []byte(`{"csr_der":"eA==","spiffe_id":"spiffe://example.org/web","duration":"` + text + `"}`)
		r := request{httpMethod: http.MethodPost, path: "/v1/certificates", body: body}
		if _, answer, code := overREST(t, doors, client, r); code != "invalid_request" {
			t.Errorf("JSON with the duration %s is answered with %s", text, answer)
		}
		r.path, r.body = "/v1/certificates/batch", slices.Concat([]byte(`{"requests":[`), body, []byte(`]}`))
		if _, answer, _ := overREST(t, doors, client, r); !strings.Contains(string(answer), "invalid_request") {
			t.Errorf("a batch with the duration %s is answered with %s", text, answer)
		}
	}
}
