package rest

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
)

// TestBareCSR does what curl --data-binary does.
func TestBareCSR(t *testing.T) {
	_, der := catest.CSR(t, ca.ECDSAP256)
	armoured := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	query := url.Values{
		"spiffe_id": {"spiffe://example.org/web"}, "dns_names": {"a.example.org", "b.example.org"}, "duration": {"10m"},
	}
	tests := map[string]struct {
		body        []byte
		contentType string
	}{
		"PEM":                     {armoured, "application/pkcs10"},
		"DER":                     {der, "application/pkcs10"},
		"a type with a parameter": {der, "Application/PKCS10; charset=us-ascii"},
	}
	d := newDoor(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/v1/certificates?"+query.Encode(), bytes.NewReader(test.body))
			r.Header.Set("Content-Type", test.contentType)
			recorder := httptest.NewRecorder()
			d.ServeHTTP(recorder, r)
			if recorder.Code != http.StatusCreated || recorder.Header().Get("Content-Type") != pemChain {
				t.Fatalf("answered %d %v: %s", recorder.Code, recorder.Header(), recorder.Body)
			}
			if n := strings.Count(recorder.Body.String(), "BEGIN CERTIFICATE"); n != 2 {
				t.Errorf("a chain of %d, want leaf and intermediate", n)
			}
			block, _ := pem.Decode(recorder.Body.Bytes())
			leaf := parse(t, block.Bytes)
			if len(leaf.DNSNames) != 2 || leaf.URIs[0].String() != query.Get("spiffe_id") || leaf.NotAfter.Sub(leaf.NotBefore).Minutes() != 10 {
				t.Errorf("the certificate is for %v %v, from %s to %s", leaf.URIs, leaf.DNSNames, leaf.NotBefore, leaf.NotAfter)
			}
		})
	}
}

func parse(t *testing.T, der []byte) *x509.Certificate {
	t.Helper()
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}
