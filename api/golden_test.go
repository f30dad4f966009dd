package api_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "github.com/pando-ca/pando/api/v1"

	"github.com/pando-ca/pando/api/apitest"
	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
)

var update = flag.Bool("update", false, "write the golden files whose shape has changed")

// exchangeCase is a request whose answer has a golden file.
type exchangeCase struct {
	role          apitest.Role
	request       request
	in, out       string // golden files; in is empty for a request without a body
	requestFields proto.Message
}

func goldenCases(t *testing.T) map[string]exchangeCase {
	t.Helper()
	sign, renew := &apiv1.SignCertificateRequest{}, &apiv1.RenewCertificateRequest{}
	batch, entry := &apiv1.SignCertificatesRequest{}, &apiv1.CreateEntryRequest{}
	return map[string]exchangeCase{
		"an operator signs for a workload": {
			role: apitest.Operator, in: "sign-request.json", out: "sign-response.json", requestFields: sign,
			request: request{
				httpMethod: http.MethodPost, path: "/v1/certificates",
				rpcMethod: apiv1.CertificateService_SignCertificate_FullMethodName, answer: &apiv1.SignCertificateResponse{},
			},
		},
		"an operator signs a batch in which one request is refused": {
			role: apitest.Operator, in: "batch-request.json", out: "batch-response.json", requestFields: batch,
			request: request{
				httpMethod: http.MethodPost, path: "/v1/certificates/batch",
				rpcMethod: apiv1.CertificateService_SignCertificates_FullMethodName, answer: &apiv1.SignCertificatesResponse{},
			},
		},
		"a workload renews": {
			role: apitest.Workload, in: "renew-request.json", out: "renew-response.json", requestFields: renew,
			request: request{
				httpMethod: http.MethodPost, path: "/v1/certificates/renew",
				rpcMethod: apiv1.CertificateService_RenewCertificate_FullMethodName, answer: &apiv1.SignCertificateResponse{},
			},
		},
		"an operator makes an entry": {
			role: apitest.Operator, in: "entry-request.json", out: "entry.json", requestFields: entry,
			request: request{
				httpMethod: http.MethodPost, path: "/v1/entries",
				rpcMethod: apiv1.EntryService_CreateEntry_FullMethodName, answer: &apiv1.Entry{},
			},
		},
	}
}

// TestGoldenExchanges sends each golden request through both doors. Both answers must have
// the shape of the golden answer, down to each value that is not drawn or read from a clock.
func TestGoldenExchanges(t *testing.T) {
	if *update {
		writeRequests(t)
	}
	for name, c := range goldenCases(t) {
		t.Run(name, func(t *testing.T) {
			doors := apitest.New(t, apitest.Options{})
			c.request.body = golden(t, c.in)
			fromJSON(t, c.request.body, c.requestFields)
			c.request.message = c.requestFields
			compareDoors(t, doors, c)
		})
	}
}

// TestGoldenListings does the same for what was made before.
func TestGoldenListings(t *testing.T) {
	doors := apitest.New(t, apitest.Options{})
	operator := doors.GRPC(t, apitest.Operator)
	sign, made := &apiv1.SignCertificateRequest{}, &apiv1.SignCertificateResponse{}
	fromJSON(t, golden(t, "sign-request.json"), sign)
	call(t, operator, apiv1.CertificateService_SignCertificate_FullMethodName, sign, made)
	rule, entry := &apiv1.CreateEntryRequest{}, &apiv1.Entry{}
	fromJSON(t, golden(t, "entry-request.json"), rule)
	call(t, operator, apiv1.EntryService_CreateEntry_FullMethodName, rule, entry)

	token := &apiv1.CreateJoinTokenRequest{}
	tokenJSON := []byte(`{"entry_id":"` + entry.GetId() + `","ttl":"600s"}`)
	fromJSON(t, tokenJSON, token)
	cases := map[string]exchangeCase{
		"a certificate": {role: apitest.Viewer, out: "certificate.json", request: request{
			httpMethod: http.MethodGet, path: "/v1/certificates/" + made.GetSerial(),
			rpcMethod: apiv1.CertificateService_GetCertificate_FullMethodName,
			message:   &apiv1.GetCertificateRequest{Serial: made.GetSerial()}, answer: &apiv1.Certificate{},
		}},
		"certificates": {role: apitest.Viewer, out: "certificates-list.json", request: request{
			httpMethod: http.MethodGet, path: "/v1/certificates?state=live&page_size=1&spiffe_id=" + made.GetSpiffeId(),
			rpcMethod: apiv1.CertificateService_ListCertificates_FullMethodName,
			message:   &apiv1.ListCertificatesRequest{State: "live", PageSize: 1, SpiffeId: made.GetSpiffeId()}, answer: &apiv1.ListCertificatesResponse{},
		}},
		"an entry": {role: apitest.Viewer, out: "entry.json", request: request{
			httpMethod: http.MethodGet, path: "/v1/entries/" + entry.GetId(),
			rpcMethod: apiv1.EntryService_GetEntry_FullMethodName,
			message:   &apiv1.GetEntryRequest{Id: entry.GetId()}, answer: &apiv1.Entry{},
		}},
		"entries": {role: apitest.Viewer, out: "entries-list.json", request: request{
			httpMethod: http.MethodGet, path: "/v1/entries?method=join_token",
			rpcMethod: apiv1.EntryService_ListEntries_FullMethodName,
			message:   &apiv1.ListEntriesRequest{Method: "join_token"}, answer: &apiv1.ListEntriesResponse{},
		}},
		"trust": {role: apitest.Workload, out: "trust.json", request: request{
			httpMethod: http.MethodGet, path: "/v1/trust?after=0&wait=1s",
			rpcMethod: apiv1.TrustService_GetTrust_FullMethodName,
			message:   &apiv1.GetTrustRequest{Wait: durationpb.New(time.Second)}, answer: &apiv1.GetTrustResponse{},
		}},
		"renewal info": {role: apitest.Viewer, out: "renewal-info.json", request: get("/v1/certificates/"+made.GetSerial()+"/renewal-info",
			apiv1.CertificateService_GetRenewalInfo_FullMethodName, &apiv1.GetRenewalInfoRequest{Serial: made.GetSerial()}, &apiv1.RenewalInfo{})},
		"the newest certificate": {role: apitest.Workload, out: "newest.json", request: get("/v1/certificates/newest",
			apiv1.CertificateService_GetNewestCertificate_FullMethodName, &apiv1.GetNewestCertificateRequest{}, &apiv1.SignCertificateResponse{})},
		"identities": {role: apitest.Viewer, out: "identities-list.json", request: get("/v1/identities?page_size=1&page_token=spiffe://example.org/v&state=live",
			apiv1.IdentityService_ListIdentities_FullMethodName,
			&apiv1.ListIdentitiesRequest{State: "live", PageSize: 1, PageToken: "spiffe://example.org/v"}, &apiv1.ListIdentitiesResponse{})},
		"a join token": {role: apitest.Operator, out: "join-token.json", request: request{
			httpMethod: http.MethodPost, path: "/v1/join-tokens", body: tokenJSON,
			rpcMethod: apiv1.JoinTokenService_CreateJoinToken_FullMethodName, message: token, answer: &apiv1.JoinToken{},
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { compareDoors(t, doors, c) })
	}
}

// TestGoldenError compares the one message that each door has in its own protocol's form.
func TestGoldenError(t *testing.T) {
	doors := apitest.New(t, apitest.Options{})
	r := request{
		httpMethod: http.MethodPost, path: "/v1/certificates", body: golden(t, "sign-request.json"),
		rpcMethod: apiv1.CertificateService_SignCertificate_FullMethodName,
		message:   &apiv1.SignCertificateRequest{}, answer: &apiv1.SignCertificateResponse{},
	}
	fromJSON(t, r.body, r.message)
	_, body, _ := overREST(t, doors, doors.HTTP(t, apitest.Workload), r)
	compareGolden(t, "error.json", body)
	var told problem
	if err := json.Unmarshal(body, &told); err != nil {
		t.Fatal(err)
	}
	err := doors.GRPC(t, apitest.Workload).Invoke(t.Context(), r.rpcMethod, r.message, r.answer)
	info, _ := errorInfo(err)
	if info.GetReason() != told.Code || info.GetMetadata()["rule"] != told.Rule {
		t.Errorf("gRPC tells %v, REST tells %s", err, body)
	}
}

// TestGoldenBundle compares the trust bundle, which REST serves as a SPIFFE document.
func TestGoldenBundle(t *testing.T) {
	doors := apitest.New(t, apitest.Options{})
	client := doors.HTTP(t, apitest.Anonymous)
	_, document, _ := overREST(t, doors, client, request{httpMethod: http.MethodGet, path: "/v1/bundle"})
	_, roots, _ := overREST(t, doors, client, request{httpMethod: http.MethodGet, path: "/v1/bundle?format=pem"})
	compareGolden(t, "bundle.json", document)
	answer := &apiv1.GetBundleResponse{}
	call(t, doors.GRPC(t, apitest.Anonymous), apiv1.TrustService_GetBundle_FullMethodName, &apiv1.GetBundleRequest{}, answer)
	if answer.GetDocument() != string(document) || answer.GetBundle().GetRoots() != string(roots) {
		t.Errorf("the doors give different bundles:\n%s\n%s", document, answer)
	}
}

// TestGoldenChain verifies that the golden answer is a real one: a reader may parse it.
func TestGoldenChain(t *testing.T) {
	answer := &apiv1.SignCertificateResponse{}
	fromJSON(t, golden(t, "sign-response.json"), answer)
	roots, above := x509.NewCertPool(), x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(answer.GetBundle().GetRoots())) {
		t.Fatal("the golden bundle holds no root")
	}
	block, rest := pem.Decode([]byte(answer.GetCertificateChain()))
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	above.AppendCertsFromPEM(rest)
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: above, CurrentTime: leaf.NotBefore})
	if err != nil || leaf.URIs[0].String() != answer.GetSpiffeId() {
		t.Errorf("the golden chain does not verify for %s: %v", answer.GetSpiffeId(), err)
	}
}

// compareDoors sends a request through both doors and compares both answers with the golden one.
func compareDoors(t *testing.T, doors *apitest.Doors, c exchangeCase) {
	t.Helper()
	_, body, code := overREST(t, doors, doors.HTTP(t, c.role), c.request)
	if code != "ok" {
		t.Fatalf("REST refuses: %s", body)
	}
	compareGolden(t, c.out, body)
	answer, code := overGRPC(t, doors.GRPC(t, c.role), c.request)
	if code != "ok" {
		t.Fatalf("gRPC refuses: %s", code)
	}
	// The golden file as the message that gRPC speaks, so that only values are compared.
	want := proto.Clone(c.request.answer)
	fromJSON(t, golden(t, c.out), want)
	if diff := cmp.Diff(masked(t, toJSON(t, want)), masked(t, toJSON(t, answer))); diff != "" {
		t.Errorf("gRPC answer differs from %s (-want +got):\n%s", c.out, diff)
	}
}

func compareGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		updateGolden(t, name, got)
	}
	if diff := cmp.Diff(masked(t, golden(t, name)), masked(t, got)); diff != "" {
		t.Errorf("answer differs from %s (-want +got):\n%s", name, diff)
	}
}

// masked parses JSON and replaces what differs from run to run by what kind of value it is.
func masked(t *testing.T, data []byte) any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return mask(value)
}

var masks = []struct {
	kind    string
	pattern *regexp.Regexp
}{
	{"a moment", regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$`)},
	{"a serial number", regexp.MustCompile(`^[0-9a-f]{38}$`)},
	{"an authority", regexp.MustCompile(`^[0-9a-f]{16}$`)},
	{"a fingerprint", regexp.MustCompile(`^[0-9a-f]{64}$`)},
	{"a request", regexp.MustCompile(`^[0-9a-f]{24}$`)},
	{"a version", regexp.MustCompile(`^[0-9a-f]{32}$`)},
	{"an override", regexp.MustCompile(`^ovr_[0-9a-f]{24}$`)},
	{"an entry", regexp.MustCompile(`^ent_[0-9a-f]{24}$`)},
	{"a token's ID", regexp.MustCompile(`^tok_[0-9a-f]{24}$`)},
	{"a token", regexp.MustCompile(`^pjt_[A-Za-z0-9_-]{43}$`)},
	{"a revocation", regexp.MustCompile(`^\d{16}$`)},
	{"a page", regexp.MustCompile(`^\d+\.[0-9a-f]{38}$`)},
	{"base64", regexp.MustCompile(`^[A-Za-z0-9+/_=-]{60,}$`)},
}

func mask(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for name := range v {
			v[name] = mask(v[name])
		}
	case []any:
		for i := range v {
			v[i] = mask(v[i])
		}
	case json.Number: // of 64 bits: text in the JSON of protobuf
		return mask(v.String())
	case string:
		if n := strings.Count(v, "-----BEGIN CERTIFICATE-----"); n > 0 {
			return strings.Repeat("certificate ", n)
		}
		for _, m := range masks {
			if m.pattern.MatchString(v) {
				return m.kind
			}
		}
	}
	return value
}

func golden(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// updateGolden writes a golden file if its shape has changed, so that an update leaves the
// others as they are.
func updateGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	old, err := os.ReadFile(filepath.Join("testdata", name))
	if err == nil && cmp.Equal(masked(t, old), masked(t, got)) {
		return
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, bytes.TrimSpace(got), "", "  "); err != nil {
		t.Fatal(err)
	}
	writeGolden(t, name, pretty.Bytes())
}

func writeGolden(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join("testdata", name), append(data, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

// writeRequests makes the golden requests that are missing, with real CSRs for keys that are
// forgotten.
func writeRequests(t *testing.T) {
	t.Helper()
	csr := func() string {
		_, der := catest.CSR(t, ca.ECDSAP256)
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	}
	_, der := catest.CSR(t, ca.Ed25519)
	write := func(name string, message any) {
		if _, err := os.Stat(filepath.Join("testdata", name)); err == nil {
			return
		}
		data, err := json.MarshalIndent(message, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		writeGolden(t, name, data)
	}
	const web = "spiffe://example.org/web"
	write("sign-request.json", map[string]any{
		"csr": csr(), "spiffe_id": web, "dns_names": []string{"web.example.org"}, "profile": "workload", "duration": "3600s",
	})
	write("batch-request.json", map[string]any{"requests": []any{
		map[string]any{"csr": csr(), "spiffe_id": web},
		map[string]any{"csr_der": der, "spiffe_id": "spiffe://elsewhere.org/web"},
		map[string]any{"csr": "not a CSR", "spiffe_id": web},
	}})
	write("renew-request.json", map[string]any{"csr": csr()})
	write("entry-request.json", map[string]any{
		"spiffe_id": web, "dns_names": []string{"web.example.org"}, "profile": "workload", "method": "join_token",
	})
}
