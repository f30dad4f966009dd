package api_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "github.com/pando-ca/pando/api/v1"

	"github.com/pando-ca/pando/api/apitest"
	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/store"
)

// TestWhatAWorkloadCannotHave tries, with the certificate of one workload, for anything but that
// workload's own identity.
func TestWhatAWorkloadCannotHave(t *testing.T) {
	doors := apitest.New(t, apitest.Options{})
	own := apitest.ID(apitest.Workload)
	tests := map[string]struct {
		in         *apiv1.SignCertificateRequest
		code, rule string
	}{
		"another identity":              {&apiv1.SignCertificateRequest{Csr: pemCSR(t), SpiffeId: "spiffe://example.org/db"}, "policy_denied", "identity"},
		"another identity, in the CSR":  {&apiv1.SignCertificateRequest{Csr: pemCSR(t, "spiffe://example.org/db")}, "policy_denied", "identity"},
		"its own and another":           {&apiv1.SignCertificateRequest{Csr: pemCSR(t, "spiffe://example.org/db"), SpiffeId: own}, "policy_denied", "identity"},
		"a longer path":                 {&apiv1.SignCertificateRequest{Csr: pemCSR(t), SpiffeId: own + "/x"}, "policy_denied", "identity"},
		"an administrator's identity":   {&apiv1.SignCertificateRequest{Csr: pemCSR(t), SpiffeId: apitest.ID(apitest.Admin)}, "policy_denied", "identity"},
		"the identity of the servers":   {&apiv1.SignCertificateRequest{Csr: pemCSR(t, "spiffe://example.org/pando/server")}, "policy_denied", "identity"},
		"the identity of the authority": {&apiv1.SignCertificateRequest{Csr: pemCSR(t), SpiffeId: "spiffe://example.org"}, "policy_denied", "identity"},
		"another trust domain":          {&apiv1.SignCertificateRequest{Csr: pemCSR(t), SpiffeId: "spiffe://example.com/workload"}, "policy_denied", "identity"},
		"a DNS name":                    {&apiv1.SignCertificateRequest{Csr: pemCSR(t, "example.org")}, "policy_denied", "dns_name"},
		"a DNS name in the request":     {&apiv1.SignCertificateRequest{Csr: pemCSR(t), DnsNames: []string{"localhost.example.org"}}, "policy_denied", "dns_name"},
		"the profile of servers":        {&apiv1.SignCertificateRequest{Csr: pemCSR(t), Profile: "server"}, "policy_denied", "profile"},
		"a longer life":                 {&apiv1.SignCertificateRequest{Csr: pemCSR(t), Duration: durationpb.New(25 * time.Hour)}, "policy_denied", "duration"},
		"a certificate with a CA's key": {&apiv1.SignCertificateRequest{CsrDer: catest.CSRFor(t, doors.PKI.SetConfig().Authorities[1].Signer)}, "policy_denied", "ca_key"},
		"a certificate with a root's":   {&apiv1.SignCertificateRequest{CsrDer: catest.CSRFor(t, doors.PKI.SetConfig().Authorities[0].Signer)}, "policy_denied", "ca_key"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tellsBoth(t, doors, apitest.Workload, signing(test.in), test.code, test.rule)
			batch := &apiv1.SignCertificatesRequest{Requests: []*apiv1.SignCertificateRequest{test.in, {Csr: pemCSR(t)}}}
			answer, err := apiv1.NewCertificateServiceClient(doors.GRPC(t, apitest.Workload)).SignCertificates(t.Context(), batch)
			if err != nil {
				t.Fatal(err)
			}
			if got := answer.GetResults()[0].GetError(); got.GetCode() != test.code || got.GetRule() != test.rule {
				t.Errorf("in a batch: %v", answer.GetResults()[0])
			}
			if got := answer.GetResults()[1].GetCertificate(); got.GetSpiffeId() != own {
				t.Errorf("beside it in a batch: %v", answer.GetResults()[1])
			}
		})
	}
	checkRecords(t, doors, own, apitest.ID(apitest.Viewer), apitest.ID(apitest.Operator), apitest.ID(apitest.Admin))
}

// checkRecords lets records be only of these identities.
func checkRecords(t *testing.T, doors *apitest.Doors, ids ...string) {
	t.Helper()
	rows, err := doors.Store.Records(t.Context(), store.RecordFilter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if !strings.Contains(" "+strings.Join(ids, " ")+" ", " "+row.SPIFFEID+" ") {
			t.Errorf("a certificate was recorded for %s", row.SPIFFEID)
		}
	}
}

// TestWhatAnOperatorCannotHave tries, as an operator, for what belongs to Pando itself, by which
// an operator would become an administrator.
func TestWhatAnOperatorCannotHave(t *testing.T) {
	doors := apitest.New(t, apitest.Options{})
	for _, id := range []string{
		"spiffe://example.org/pando", "spiffe://example.org/pando/server", "spiffe://example.org/pando/admin/admin",
		"spiffe://example.org/pando/admin/operator/x", "spiffe://example.org/pando/...",
	} {
		t.Run(id, func(t *testing.T) {
			named := &apiv1.SignCertificateRequest{Csr: pemCSR(t), SpiffeId: id}
			tellsBoth(t, doors, apitest.Operator, signing(named), "policy_denied", "reserved")
			tellsBoth(t, doors, apitest.Operator, signing(&apiv1.SignCertificateRequest{Csr: pemCSR(t, id)}), "policy_denied", "reserved")
			answer, err := apiv1.NewCertificateServiceClient(doors.GRPC(t, apitest.Operator)).SignCertificates(t.Context(),
				&apiv1.SignCertificatesRequest{Requests: []*apiv1.SignCertificateRequest{named}})
			if err != nil || answer.GetResults()[0].GetError().GetRule() != "reserved" {
				t.Errorf("in a batch: %v, %v", answer, err)
			}
			entry := &apiv1.CreateEntryRequest{SpiffeId: id, Method: "join_token"}
			tellsBoth(t, doors, apitest.Operator, post("/v1/entries", apiv1.EntryService_CreateEntry_FullMethodName, entry, &apiv1.Entry{}), "permission_denied", "")
		})
	}
	for _, id := range []string{"spiffe://example.org", "spiffe://example.com/web"} {
		tellsBoth(t, doors, apitest.Operator, signing(&apiv1.SignCertificateRequest{Csr: pemCSR(t), SpiffeId: id}), "policy_denied", "trust_domain")
	}
	checkRecords(t, doors, apitest.ID(apitest.Workload), apitest.ID(apitest.Viewer), apitest.ID(apitest.Operator), apitest.ID(apitest.Admin))
}

// TestForgedClientCertificates shows certificates that say administrator and are not good.
func TestForgedClientCertificates(t *testing.T) {
	doors := apitest.New(t, apitest.Options{})
	admin := apitest.ID(apitest.Admin)
	issuer := doors.PKI.SetConfig().Authorities[1]
	issuerCert, err := x509.ParseCertificate(issuer.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	workload := doors.TLS(apitest.Workload).Certificates[0]
	usages := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	good := catest.Leaf{ExtKeyUsage: usages}
	like := doors.PKI.Issue(t, admin, good).Leaf

	tests := map[string]struct {
		certificate tls.Certificate
		code        string
	}{
		"of another CA of the same name":     {catest.New(t, catest.Options{}).Issue(t, admin, good), "unauthenticated"},
		"of another trust domain":            {catest.New(t, catest.Options{TrustDomain: "example.com"}).Issue(t, "spiffe://example.com/pando/admin/admin", good), "unauthenticated"},
		"signed by a workload":               {forge(t, like, workload.Leaf, workload.PrivateKey.(crypto.Signer), workload.Certificate...), "unauthenticated"},
		"signed by a workload as the issuer": {forge(t, like, issuerCert, workload.PrivateKey.(crypto.Signer)), "unauthenticated"},
		"signed by itself":                   {forge(t, like, like, catest.Key(t, ca.ECDSAP256)), "unauthenticated"},
		"that of the issuer, with its key":   {tls.Certificate{Certificate: [][]byte{issuer.Certificate}, PrivateKey: issuer.Signer}, "unauthenticated"},
		"expired":                            {doors.PKI.Issue(t, admin, catest.Leaf{ExtKeyUsage: usages, Lifetime: time.Second}), "unauthenticated"},
		"not yet valid":                      {doors.PKI.Issue(t, admin, catest.Leaf{ExtKeyUsage: usages, NotBefore: time.Now().Add(time.Hour).Truncate(time.Second)}), "unauthenticated"},
		"signed by the issuer, not recorded": {doors.PKI.Issue(t, admin, good), "permission_denied"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			client, conn := holding(t, doors, test.certificate)
			sign := signing(&apiv1.SignCertificateRequest{Csr: pemCSR(t), SpiffeId: "spiffe://example.org/web"})
			sign.body = toJSON(t, sign.message)
			list := get("/v1/certificates", apiv1.CertificateService_ListCertificates_FullMethodName, &apiv1.ListCertificatesRequest{}, &apiv1.ListCertificatesResponse{})
			for _, r := range []request{sign, list} {
				if _, body, code := overREST(t, doors, client, r); code != test.code {
					t.Errorf("REST answers %s with %s", r.path, body)
				}
				if _, code := overGRPC(t, conn, r); code != test.code {
					t.Errorf("gRPC answers %s with %s", r.rpcMethod, code)
				}
			}
		})
	}
}

// forge makes a certificate like another one, with a new key, and signs it as whoever it likes.
func forge(t *testing.T, like, parent *x509.Certificate, signer crypto.Signer, chain ...[]byte) tls.Certificate {
	t.Helper()
	key := catest.Key(t, ca.ECDSAP256)
	template := &x509.Certificate{
		SerialNumber: new(big.Int).Set(like.SerialNumber), NotBefore: like.NotBefore, NotAfter: like.NotAfter,
		KeyUsage: like.KeyUsage, ExtKeyUsage: like.ExtKeyUsage, BasicConstraintsValid: true, URIs: like.URIs,
		AuthorityKeyId: parent.SubjectKeyId,
	}
	parent = &x509.Certificate{RawSubject: parent.RawSubject, SubjectKeyId: parent.SubjectKeyId, PublicKey: signer.Public()}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: append([][]byte{der}, chain...), PrivateKey: key}
}

// holding returns clients that show a certificate.
func holding(t *testing.T, doors *apitest.Doors, certificate tls.Certificate) (*http.Client, *grpc.ClientConn) {
	t.Helper()
	config := doors.TLS(apitest.Anonymous)
	// Whatever the server asks for.
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil }
	transport := &http.Transport{TLSClientConfig: config.Clone()}
	t.Cleanup(transport.CloseIdleConnections)
	conn, err := grpc.NewClient("dns:///"+doors.Address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &http.Client{Transport: transport, Timeout: time.Minute}, conn
}

// TestOddRequestsAreAnswered sends what no client of ours sends. Nothing of it is a failure of
// the server, and none of it finds a way round.
func TestOddRequestsAreAnswered(t *testing.T) {
	doors := apitest.New(t, apitest.Options{})
	tests := map[string]struct {
		role         apitest.Role
		method, path string
		body         string
		want         int
	}{
		"two slashes":                   {apitest.Anonymous, http.MethodGet, "//v1/entries", "", 404},
		"a slash at the end":            {apitest.Anonymous, http.MethodGet, "/v1/entries/", "", 404},
		"a way back":                    {apitest.Workload, http.MethodGet, "/v1/certificates/%2e%2e/entries", "", 404},
		"another method":                {apitest.Admin, "BREW", "/v1/entries", "", 405},
		"HEAD of what has records":      {apitest.Anonymous, http.MethodHead, "/v1/certificates", "", 405},
		"an unknown parameter":          {apitest.Viewer, http.MethodGet, "/v1/certificates?role=admin", "", 400},
		"a parameter with a control":    {apitest.Viewer, http.MethodGet, "/v1/certificates?a%C2%9B=1", "", 400},
		"NUL for an ID":                 {apitest.Viewer, http.MethodGet, "/v1/entries/%00", "", 400},
		"a serial of 20 kB":             {apitest.Viewer, http.MethodGet, "/v1/certificates/" + strings.Repeat("a", 20_000), "", 400},
		"a page from before all time":   {apitest.Viewer, http.MethodGet, "/v1/certificates?page_token=-9223372036854775808." + unknownSerial, "", 200},
		"a page of more than all":       {apitest.Viewer, http.MethodGet, "/v1/certificates?page_size=1000", "", 400},
		"JSON that is 100 000 deep":     {apitest.Operator, http.MethodPost, "/v1/entries", strings.Repeat("[", 100_000), 400},
		"objects that are 20 000 deep":  {apitest.Operator, http.MethodPost, "/v1/entries", strings.Repeat(`{"a":`, 20_000), 400},
		"a field that is not ours":      {apitest.Workload, http.MethodPost, "/v1/certificates", `{"csr":"x","role":"admin"}`, 400},
		"a field twice":                 {apitest.Workload, http.MethodPost, "/v1/certificates", `{"csr":"x","csr":"y"}`, 400},
		"a field in another case":       {apitest.Workload, http.MethodPost, "/v1/certificates", `{"CSR":"x"}`, 400},
		"two values":                    {apitest.Workload, http.MethodPost, "/v1/certificates", `{"csr":"x"}{}`, 400},
		"wishes beside those in a body": {apitest.Operator, http.MethodPost, "/v1/certificates?spiffe_id=spiffe://example.org/x", `{"csr":"x"}`, 400},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), test.method, doors.URL+test.path, bytes.NewReader([]byte(test.body)))
			if err != nil {
				t.Fatal(err)
			}
			if test.body != "" {
				r.Header.Set("Content-Type", "application/json")
			}
			response, err := doors.HTTP(t, test.role).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != test.want {
				t.Errorf("answered %s, want %d", response.Status, test.want)
			}
		})
	}
}
