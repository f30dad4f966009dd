package api_test

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "github.com/pando-ca/pando/api/v1"

	"github.com/pando-ca/pando/api/apitest"
	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/store"
)

const web = "spiffe://example.org/web"

// signed has an operator sign a certificate for an identity.
func signed(t *testing.T, doors *apitest.Doors, id string) *apiv1.SignCertificateResponse {
	t.Helper()
	_, der := catest.CSR(t, ca.ECDSAP256)
	answer := &apiv1.SignCertificateResponse{}
	call(t, doors.GRPC(t, apitest.Admin), apiv1.CertificateService_SignCertificate_FullMethodName,
		&apiv1.SignCertificateRequest{CsrDer: der, SpiffeId: id}, answer)
	return answer
}

// revokeRequest revokes one certificate, as both doors take it.
func revokeRequest(serial, reason string) request {
	return request{
		httpMethod: http.MethodPost, path: "/v1/certificates/" + serial + "/revoke", body: []byte(`{"reason":"` + reason + `"}`),
		rpcMethod: apiv1.RevocationService_RevokeCertificate_FullMethodName,
		message:   &apiv1.RevokeCertificateRequest{Serial: serial, Reason: reason}, answer: &apiv1.Certificate{},
	}
}

// trustRequest asks for what was revoked after a sequence.
func trustRequest(after uint64) request {
	return request{
		httpMethod: http.MethodGet, path: "/v1/trust?after=1&revocations_after=" + strconv.FormatUint(after, 10),
		rpcMethod: apiv1.TrustService_GetTrust_FullMethodName,
		message:   &apiv1.GetTrustRequest{After: 1, RevocationsAfter: &after}, answer: &apiv1.GetTrustResponse{},
	}
}

// TestGoldenRevocation revokes, and compares what is answered and what followers are told.
func TestGoldenRevocation(t *testing.T) {
	doors := apitest.New(t, apitest.Options{})
	revokeAnIntermediate(t, doors)
	one, bulk := revokeRequest(signed(t, doors, web).GetSerial(), ""), &apiv1.CreateRevocationRequest{}
	signed(t, doors, web) // is left for the other
	one.body = golden(t, "revoke-request.json")
	reason := &apiv1.RevokeCertificateRequest{}
	fromJSON(t, one.body, reason)
	proto.Merge(one.message, reason)
	selection := golden(t, "revocation-request.json")
	fromJSON(t, selection, bulk)
	for _, c := range []struct {
		name string
		exchangeCase
	}{
		{"one certificate, twice", exchangeCase{role: apitest.Operator, out: "certificate-revoked.json", request: one}},
		{"a dry run", exchangeCase{role: apitest.Operator, out: "revocation-response.json", request: post("/v1/revocations",
			apiv1.RevocationService_CreateRevocation_FullMethodName, bulk, &apiv1.CreateRevocationResponse{})}},
		{"what followers are told", exchangeCase{role: apitest.Workload, out: "trust-revocations.json", request: trustRequest(0)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.request.path == "/v1/revocations" {
				c.request.body = selection
			}
			if c.out == "trust-revocations.json" { // the replica has heard of it
				eventually(t, func() bool { return len(revokedSince(t, doors, 0).GetSerials()) == 1 })
			}
			compareDoors(t, doors, c.exchangeCase)
		})
	}
}

// revokeAnIntermediate adopts a generation with one that is revoked beside the active one.
func revokeAnIntermediate(t *testing.T, doors *apitest.Doors) {
	t.Helper()
	cfg := doors.PKI.SetConfig()
	root := doors.PKI.Set().Authorities()[0].Certificate()
	key := catest.Key(t, ca.ECDSAP256)
	cert, err := ca.NewIntermediate(ca.IntermediateConfig{
		TrustDomain: cfg.TrustDomain, PublicKey: key.Public(), Parent: root, ParentSigner: cfg.Authorities[0].Signer,
		NotBefore: time.Now(), NotAfter: root.NotAfter,
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Generation++
	cfg.Authorities = append(cfg.Authorities, ca.AuthorityConfig{
		ID: ca.AuthorityID(cert), Role: ca.RoleIntermediate, State: ca.StateRevoked, ParentID: ca.AuthorityID(root), Certificate: cert.Raw,
	})
	set, err := ca.NewSet(cfg, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := doors.Service.Adopt(set, time.Now()); err != nil {
		t.Fatal(err)
	}
}

// revokedSince is what a follower is told of what was revoked after a sequence.
func revokedSince(t *testing.T, doors *apitest.Doors, after uint64) *apiv1.Revocations {
	t.Helper()
	answer := &apiv1.GetTrustResponse{}
	call(t, doors.GRPC(t, apitest.Viewer), apiv1.TrustService_GetTrust_FullMethodName, trustRequest(after).message, answer)
	return answer.GetRevocations()
}

// eventually waits for what another goroutine does.
func eventually(t *testing.T, done func() bool) {
	t.Helper()
	for begun := time.Now(); !done(); {
		if time.Since(begun) > patience {
			t.Fatal("it does not happen")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestARevocationReachesWhoWaits through both doors and the stream, and ends the waiting of the
// holder of the revoked certificate.
func TestARevocationReachesWhoWaits(t *testing.T) {
	doors := apitest.New(t, apitest.Options{})
	eventually(t, func() bool { return revokedSince(t, doors, 0) != nil })
	victim := signed(t, doors, web)
	overHTTP, overRPC := make(chan *apiv1.Revocations, 1), make(chan *apiv1.Revocations, 1)
	go func() {
		_, body, _ := overREST(t, doors, doors.HTTP(t, apitest.Workload), request{httpMethod: http.MethodGet, path: "/v1/trust?after=1&revocations_after=0&wait=30s"})
		answer := &apiv1.GetTrustResponse{}
		fromJSON(t, body, answer)
		overHTTP <- answer.GetRevocations()
	}()
	go func() {
		answer := &apiv1.GetTrustResponse{}
		call(t, doors.GRPC(t, apitest.Workload), apiv1.TrustService_GetTrust_FullMethodName,
			&apiv1.GetTrustRequest{After: 1, RevocationsAfter: new(uint64), Wait: durationpb.New(30 * time.Second)}, answer)
		overRPC <- answer.GetRevocations()
	}()
	stream, err := apiv1.NewTrustServiceClient(doors.GRPC(t, apitest.Viewer)).WatchTrust(t.Context(), &apiv1.WatchTrustRequest{After: 1, RevocationsAfter: new(uint64)})
	if err != nil {
		t.Fatal(err)
	}
	if first, err := stream.Recv(); err != nil || len(first.GetRevocations().GetSerials()) != 0 {
		t.Fatalf("the stream begins with %v, %v", first, err)
	}
	call(t, doors.GRPC(t, apitest.Operator), apiv1.RevocationService_RevokeCertificate_FullMethodName,
		&apiv1.RevokeCertificateRequest{Serial: victim.GetSerial()}, &apiv1.Certificate{})
	next, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]*apiv1.Revocations{"REST": <-overHTTP, "gRPC": <-overRPC, "the stream": next.GetRevocations()} {
		if serials := got.GetSerials(); len(serials) != 1 || serials[0] != victim.GetSerial() || got.GetSequence() == 0 {
			t.Errorf("%s tells of %v", name, got)
		}
	}

	admin := doors.GRPC(t, apitest.Admin)
	holder, err := apiv1.NewTrustServiceClient(doors.GRPC(t, apitest.Workload)).WatchTrust(t.Context(), &apiv1.WatchTrustRequest{After: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := holder.Recv(); err != nil {
		t.Fatal(err)
	}
	call(t, admin, apiv1.RevocationService_CreateRevocation_FullMethodName,
		&apiv1.CreateRevocationRequest{SpiffeId: apitest.ID(apitest.Workload)}, &apiv1.CreateRevocationResponse{})
	_, err = holder.Recv()
	if info, _ := errorInfo(err); info.GetReason() != "revoked" {
		t.Errorf("the stream of the revoked holder ends with %v", err)
	}
	status, _, code := overREST(t, doors, doors.HTTP(t, apitest.Workload), request{httpMethod: http.MethodGet, path: "/v1/trust?after=1"})
	if status != http.StatusForbidden || code != "revoked" {
		t.Errorf("a poll of the revoked holder is answered %d, %s", status, code)
	}
}

// TestRevocationsAreToldToWhoAsks: an older client gets no field that it does not know.
func TestRevocationsAreToldToWhoAsks(t *testing.T) {
	doors := apitest.New(t, apitest.Options{})
	eventually(t, func() bool { return revokedSince(t, doors, 0) != nil })
	for path, want := range map[string]bool{"/v1/trust": false, "/v1/trust?revocations_after=0": true, "/v1/trust?after=1&revocations_after=7": true} {
		_, body, _ := overREST(t, doors, doors.HTTP(t, apitest.Workload), request{httpMethod: http.MethodGet, path: path})
		var answer struct {
			Revocations *struct {
				Sequence             *uint64
				Serials, Authorities *[]string
				More, Reset          *bool
			}
		}
		if err := json.Unmarshal(body, &answer); err != nil {
			t.Fatal(err)
		}
		r := answer.Revocations
		if (r != nil) != want {
			t.Errorf("%s is answered %s", path, body)
		}
		if want && (r.Sequence == nil || r.Serials == nil || r.Authorities == nil || r.More == nil || r.Reset == nil) {
			t.Errorf("%s is answered without a field: %s", path, body)
		}
	}
	for _, bad := range []string{"-1", "x", "18446744073709551616", ""} {
		status, _, code := overREST(t, doors, doors.HTTP(t, apitest.Workload), request{httpMethod: http.MethodGet, path: "/v1/trust?revocations_after=" + bad})
		if bad != "" && (status < 400 || status > 499 || code != "invalid_request") {
			t.Errorf("revocations_after=%s is answered %d, %s", bad, status, code)
		}
	}
}

// TestBadRevocations are refused by both doors alike.
func TestBadRevocations(t *testing.T) {
	doors := apitest.New(t, apitest.Options{})
	set := doors.PKI.Set()
	root, issuer := set.Authorities()[0], set.Issuer()
	serialOf := func(a *ca.Authority) string {
		serial, ok := ca.SerialOf(a.Certificate())
		if !ok {
			t.Fatal("an authority has a serial number of another kind")
		}
		return serial.String()
	}
	bulk := func(r *apiv1.CreateRevocationRequest) request {
		r2 := post("/v1/revocations", apiv1.RevocationService_CreateRevocation_FullMethodName, r, &apiv1.CreateRevocationResponse{})
		r2.body = toJSON(t, r)
		return r2
	}
	key := sha256.Sum256(issuer.Certificate().RawSubjectPublicKeyInfo)
	for name, c := range map[string]struct {
		request request
		code    string
		says    string
	}{
		"an unknown serial number":     {revokeRequest(unknownSerial, "superseded"), "not_found", ""},
		"no serial number":             {revokeRequest("xyz", "superseded"), "invalid_request", "serial"},
		"the certificate of a root":    {revokeRequest(serialOf(root), "superseded"), "invalid_request", "pando authority taint " + root.ID()},
		"that of the issuer":           {revokeRequest(serialOf(issuer), "superseded"), "invalid_request", "pando authority revoke " + issuer.ID()},
		"a reason of no standard":      {revokeRequest(unknownSerial, "because"), "invalid_request", "reason"},
		"a suspension":                 {revokeRequest(unknownSerial, "certificate_hold"), "invalid_request", "reason"},
		"the end of a suspension":      {revokeRequest(unknownSerial, "remove_from_crl"), "invalid_request", "reason"},
		"nothing selected":             {bulk(&apiv1.CreateRevocationRequest{}), "invalid_request", "exactly one"},
		"two selections":               {bulk(&apiv1.CreateRevocationRequest{SpiffeId: web, Issuer: issuer.ID()}), "invalid_request", "exactly one"},
		"a SPIFFE ID that is none":     {bulk(&apiv1.CreateRevocationRequest{SpiffeId: "spiffe://example.org/a/"}), "invalid_request", "spiffe_id"},
		"another trust domain":         {bulk(&apiv1.CreateRevocationRequest{SpiffeId: "spiffe://example.com/a"}), "invalid_request", "spiffe_id"},
		"the trust domain itself":      {bulk(&apiv1.CreateRevocationRequest{SpiffeId: "spiffe://example.org"}), "invalid_request", "spiffe_id"},
		"a wildcard":                   {bulk(&apiv1.CreateRevocationRequest{SpiffeId: "spiffe://example.org/*"}), "invalid_request", "spiffe_id"},
		"an unknown issuer":            {bulk(&apiv1.CreateRevocationRequest{Issuer: "0123456789abcdef"}), "not_found", ""},
		"an issuer with a NUL":         {bulk(&apiv1.CreateRevocationRequest{Issuer: "a\x00b"}), "not_found", ""},
		"a root as issuer":             {bulk(&apiv1.CreateRevocationRequest{Issuer: root.ID()}), "invalid_request", "root"},
		"the active issuer":            {bulk(&apiv1.CreateRevocationRequest{Issuer: issuer.ID()}), "conflict", "pando authority taint " + issuer.ID()},
		"the active issuer, dry":       {bulk(&apiv1.CreateRevocationRequest{Issuer: issuer.ID(), DryRun: true}), "conflict", "taint"},
		"the key of an authority":      {bulk(&apiv1.CreateRevocationRequest{KeyHash: hex.EncodeToString(key[:])}), "invalid_request", "pando authority taint " + issuer.ID()},
		"a key hash that is too short": {bulk(&apiv1.CreateRevocationRequest{KeyHash: "abcd"}), "invalid_request", "key_hash"},
		"a key hash that is no hex":    {bulk(&apiv1.CreateRevocationRequest{KeyHash: strings.Repeat("x", 64)}), "invalid_request", "key_hash"},
		"the key hash of nothing":      {bulk(&apiv1.CreateRevocationRequest{KeyHash: strings.Repeat("0", 64)}), "invalid_request", "key_hash"},
	} {
		t.Run(name, func(t *testing.T) {
			_, body, code := overREST(t, doors, doors.HTTP(t, apitest.Admin), c.request)
			if code != c.code || !strings.Contains(string(body), c.says) {
				t.Errorf("REST answers %s: %s, want %s about %q", code, body, c.code, c.says)
			}
			if _, code := overGRPC(t, doors.GRPC(t, apitest.Admin), c.request); code != c.code {
				t.Errorf("gRPC answers %s, want %s", code, c.code)
			}
		})
	}
	audits, err := doors.Store.Audits(t.Context(), store.AuditFilter{Limit: 10})
	if err != nil || len(audits) > 0 {
		t.Errorf("refusals have left %v, %v", audits, err)
	}
}

// TestAForgedCertificateIsRefused: whoever holds an issuer's key makes a certificate with the
// serial number of somebody else's, and gets neither that one's successor nor its window, and
// acknowledges nothing for it; also not with the role of an administrator.
func TestAForgedCertificateIsRefused(t *testing.T) {
	doors := apitest.New(t, apitest.Options{})
	for _, role := range []apitest.Role{apitest.Workload, apitest.Admin} {
		forged := doors.PKI.Forge(t, doors.TLS(role).Certificates[0].Leaf)
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
			RootCAs: doors.PKI.RootPool(), ServerName: "localhost", Certificates: []tls.Certificate{forged}, MinVersion: tls.VersionTLS12,
		}}}
		t.Cleanup(client.CloseIdleConnections)
		_, der := catest.CSR(t, ca.ECDSAP256)
		csr, err := json.Marshal(map[string][]byte{"csr_der": der})
		if err != nil {
			t.Fatal(err)
		}
		requests := map[string]request{
			"renew":       {httpMethod: http.MethodPost, path: "/v1/certificates/renew", body: csr},
			"acknowledge": {httpMethod: http.MethodGet, path: "/v1/trust?after=1"},
		}
		if role == apitest.Admin {
			requests["administer"] = request{httpMethod: http.MethodGet, path: "/v1/certificates"}
		}
		for name, r := range requests {
			status, body, code := overREST(t, doors, client, r)
			if status != http.StatusForbidden || code != "permission_denied" || !strings.Contains(string(body), "recorded under its serial number") {
				t.Errorf("%s, %s: answered %d, %s", role, name, status, body)
			}
		}
	}
}
