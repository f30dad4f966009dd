package api_test

import (
	"encoding/pem"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	apiv1 "github.com/pando-ca/pando/api/v1"

	"github.com/pando-ca/pando/api/apitest"
	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/server"
)

// permissionCase is one request and what it comes to for each role, in the order of
// apitest.Roles.
type permissionCase struct {
	op      server.Operation
	request request
	want    [5]string
}

// codes that stand for "nobody refuses this".
const (
	ok   = "ok"
	anon = "unauthenticated"
	perm = "permission_denied"
	none = "not_found" // the caller may ask, and there is nothing
)

const unknownSerial = "6b0381ff000000000000000000000000000000"

func permissionCases(t *testing.T) map[string]permissionCase {
	t.Helper()
	_, der := catest.CSR(t, ca.ECDSAP256)
	csr := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	other := &apiv1.SignCertificateRequest{Csr: csr, SpiffeId: "spiffe://example.org/other"}
	reserved := &apiv1.SignCertificateRequest{Csr: csr, SpiffeId: "spiffe://example.org/pando/server"}
	cases := map[string]permissionCase{
		"sign for another identity": {
			op: server.OpSign, want: [5]string{anon, "policy_denied", "policy_denied", ok, ok},
			request: post("/v1/certificates", apiv1.CertificateService_SignCertificate_FullMethodName, other, &apiv1.SignCertificateResponse{}),
		},
		"sign for an identity of Pando itself": {
			op: server.OpSign, want: [5]string{anon, "policy_denied", "policy_denied", "policy_denied", ok},
			request: post("/v1/certificates", apiv1.CertificateService_SignCertificate_FullMethodName, reserved, &apiv1.SignCertificateResponse{}),
		},
		"sign a batch": {
			op: server.OpSign, want: [5]string{anon, ok, ok, ok, ok},
			request: post("/v1/certificates/batch", apiv1.CertificateService_SignCertificates_FullMethodName,
				&apiv1.SignCertificatesRequest{Requests: []*apiv1.SignCertificateRequest{{Csr: csr}}}, &apiv1.SignCertificatesResponse{}),
		},
		"renew": {
			op: server.OpRenew, want: [5]string{anon, ok, ok, ok, ok},
			request: post("/v1/certificates/renew", apiv1.CertificateService_RenewCertificate_FullMethodName,
				&apiv1.RenewCertificateRequest{Csr: csr}, &apiv1.SignCertificateResponse{}),
		},
		"look a certificate up": {
			op: server.OpGetCertificate, want: [5]string{anon, perm, none, none, none},
			request: get("/v1/certificates/"+unknownSerial, apiv1.CertificateService_GetCertificate_FullMethodName,
				&apiv1.GetCertificateRequest{Serial: unknownSerial}, &apiv1.Certificate{}),
		},
		"list certificates": {
			op: server.OpListCertificates, want: [5]string{anon, perm, ok, ok, ok},
			request: get("/v1/certificates", apiv1.CertificateService_ListCertificates_FullMethodName,
				&apiv1.ListCertificatesRequest{}, &apiv1.ListCertificatesResponse{}),
		},
		"ask for the bundle": {
			op: server.OpGetBundle, want: [5]string{ok, ok, ok, ok, ok},
			request: get("/v1/bundle", apiv1.TrustService_GetBundle_FullMethodName, &apiv1.GetBundleRequest{}, &apiv1.GetBundleResponse{}),
		},
	}
	maps.Copy(cases, entryPermissions())
	maps.Copy(cases, fleetPermissions())
	maps.Copy(cases, rotationPermissions())
	maps.Copy(cases, revocationPermissions())
	maps.Copy(cases, orderPermissions())
	cases["list the audit"] = permissionCase{
		op: server.OpListAudit, want: [5]string{anon, perm, ok, ok, ok},
		request: get("/v1/audit", apiv1.AuditService_ListAudit_FullMethodName, &apiv1.ListAuditRequest{}, &apiv1.ListAuditResponse{}),
	}
	maps.Copy(cases, mtlsPermissions())
	cases["get an overview"] = permissionCase{
		op: server.OpGetOverview, want: [5]string{anon, perm, ok, ok, ok},
		request: get("/v1/overview", apiv1.OverviewService_GetOverview_FullMethodName, &apiv1.GetOverviewRequest{}, &apiv1.Overview{}),
	}
	cases["look for what is wrong"] = permissionCase{
		op: server.OpDiagnose, want: [5]string{anon, perm, ok, ok, ok},
		request: get("/v1/diagnosis", apiv1.DiagnosisService_GetDiagnosis_FullMethodName, &apiv1.GetDiagnosisRequest{}, &apiv1.Diagnosis{}),
	}
	return cases
}

func fleetPermissions() map[string]permissionCase {
	return map[string]permissionCase{
		"ask for one's newest certificate": {
			op: server.OpGetNewest, want: [5]string{anon, ok, ok, ok, ok},
			request: get("/v1/certificates/newest", apiv1.CertificateService_GetNewestCertificate_FullMethodName,
				&apiv1.GetNewestCertificateRequest{}, &apiv1.SignCertificateResponse{}),
		},
		"ask when a certificate is to be renewed": {
			op: server.OpRenewalInfo, want: [5]string{anon, none, none, none, none},
			request: get("/v1/certificates/"+unknownSerial+"/renewal-info", apiv1.CertificateService_GetRenewalInfo_FullMethodName,
				&apiv1.GetRenewalInfoRequest{Serial: unknownSerial}, &apiv1.RenewalInfo{}),
		},
		"list identities": {
			op: server.OpListIdentities, want: [5]string{anon, perm, ok, ok, ok},
			request: get("/v1/identities", apiv1.IdentityService_ListIdentities_FullMethodName,
				&apiv1.ListIdentitiesRequest{}, &apiv1.ListIdentitiesResponse{}),
		},
	}
}

func rotationPermissions() map[string]permissionCase {
	run := get("/v1/schedule/none/run", apiv1.ScheduleService_RunJob_FullMethodName, &apiv1.RunJobRequest{Job: "none"}, &apiv1.Job{})
	run.httpMethod = http.MethodPost
	return map[string]permissionCase{
		"ask for a newer bundle": {
			op: server.OpTrust, want: [5]string{anon, ok, ok, ok, ok},
			request: get("/v1/trust", apiv1.TrustService_GetTrust_FullMethodName, &apiv1.GetTrustRequest{}, &apiv1.GetTrustResponse{}),
		},
		"look an authority up": {
			op: server.OpGetAuthority, want: [5]string{anon, perm, none, none, none},
			request: get("/v1/authorities/none", apiv1.AuthorityService_GetAuthority_FullMethodName,
				&apiv1.GetAuthorityRequest{Id: "none"}, &apiv1.Authority{}),
		},
		"list authorities": {
			op: server.OpListAuthorities, want: [5]string{anon, perm, ok, ok, ok},
			request: get("/v1/authorities", apiv1.AuthorityService_ListAuthorities_FullMethodName,
				&apiv1.ListAuthoritiesRequest{}, &apiv1.ListAuthoritiesResponse{}),
		},
		"request an intermediate": {
			op: server.OpRequestAuthority, want: [5]string{anon, perm, perm, perm, none},
			request: post("/v1/authorities/csr", apiv1.AuthorityService_RequestAuthority_FullMethodName,
				&apiv1.RequestAuthorityRequest{Renew: true}, &apiv1.RequestAuthorityResponse{}),
		},
		"import an intermediate": {
			op: server.OpImportAuthority, want: [5]string{anon, perm, perm, perm, none},
			request: post("/v1/authorities/import", apiv1.AuthorityService_ImportAuthority_FullMethodName,
				&apiv1.ImportAuthorityRequest{Chain: "none"}, &apiv1.ImportAuthorityResponse{}),
		},
		"list jobs": {
			op: server.OpListJobs, want: [5]string{anon, perm, ok, ok, ok},
			request: get("/v1/schedule", apiv1.ScheduleService_ListJobs_FullMethodName, &apiv1.ListJobsRequest{}, &apiv1.ListJobsResponse{}),
		},
		"list incidents": {
			op: server.OpListIncidents, want: [5]string{anon, perm, ok, ok, ok},
			request: get("/v1/incidents", apiv1.IncidentService_ListIncidents_FullMethodName, &apiv1.ListIncidentsRequest{}, &apiv1.ListIncidentsResponse{}),
		},
		"look an incident up": {
			op: server.OpGetIncident, want: [5]string{anon, perm, none, none, none},
			request: get("/v1/incidents/none", apiv1.IncidentService_GetIncident_FullMethodName, &apiv1.GetIncidentRequest{Id: "none"}, &apiv1.Incident{}),
		},
		"run a job": {op: server.OpRunJob, want: [5]string{anon, perm, perm, perm, none}, request: run},
	}
}

func revocationPermissions() map[string]permissionCase {
	bulk := func(r *apiv1.CreateRevocationRequest) request {
		r.DryRun = true
		return post("/v1/revocations", apiv1.RevocationService_CreateRevocation_FullMethodName, r, &apiv1.CreateRevocationResponse{})
	}
	return map[string]permissionCase{
		"revoke a certificate": {
			op: server.OpRevokeCertificate, want: [5]string{anon, perm, perm, none, none},
			request: request{
				httpMethod: http.MethodPost, path: "/v1/certificates/" + unknownSerial + "/revoke", body: []byte("{}"),
				rpcMethod: apiv1.RevocationService_RevokeCertificate_FullMethodName,
				message:   &apiv1.RevokeCertificateRequest{Serial: unknownSerial}, answer: &apiv1.Certificate{},
			},
		},
		"revoke an identity": {
			op: server.OpCreateRevocation, want: [5]string{anon, perm, perm, ok, ok},
			request: bulk(&apiv1.CreateRevocationRequest{SpiffeId: "spiffe://example.org/web"}),
		},
		"revoke an identity of Pando itself": {
			op: server.OpCreateRevocation, want: [5]string{anon, perm, perm, perm, ok},
			request: bulk(&apiv1.CreateRevocationRequest{SpiffeId: "spiffe://example.org/pando/server"}),
		},
		"revoke what an issuer has signed": {
			op: server.OpCreateRevocation, want: [5]string{anon, perm, perm, perm, none},
			request: bulk(&apiv1.CreateRevocationRequest{Issuer: "0123456789abcdef"}),
		},
		"revoke and block a key": {
			op: server.OpCreateRevocation, want: [5]string{anon, perm, perm, perm, ok},
			request: bulk(&apiv1.CreateRevocationRequest{KeyHash: strings.Repeat("ab", 32)}),
		},
	}
}

func mtlsPermissions() map[string]permissionCase {
	put := post("/v1/mtls/policies", apiv1.MTLSService_SetMTLSPolicy_FullMethodName,
		&apiv1.SetMTLSPolicyRequest{Pattern: "/ns/**", Mode: "strict"}, &apiv1.MTLSPolicy{})
	put.httpMethod, put.body = http.MethodPut, []byte(`{"pattern":"/ns/**","mode":"strict"}`)
	drop := get("/v1/mtls/policies?pattern=%2Fnone", apiv1.MTLSService_DeleteMTLSPolicy_FullMethodName,
		&apiv1.DeleteMTLSPolicyRequest{Pattern: "/none"}, &emptypb.Empty{})
	drop.httpMethod = http.MethodDelete
	end := get("/v1/mtls/overrides/ovr_none?reason=r", apiv1.MTLSService_EndMTLSOverride_FullMethodName,
		&apiv1.EndMTLSOverrideRequest{Id: "ovr_none", Reason: "r"}, &apiv1.MTLSOverride{})
	end.httpMethod = http.MethodDelete
	const web = "spiffe://example.org/web"
	return map[string]permissionCase{
		"list mTLS policies": {
			op: server.OpListMTLSPolicies, want: [5]string{anon, perm, ok, ok, ok},
			request: get("/v1/mtls/policies", apiv1.MTLSService_ListMTLSPolicies_FullMethodName, &apiv1.ListMTLSPoliciesRequest{}, &apiv1.ListMTLSPoliciesResponse{}),
		},
		"set an mTLS policy":    {op: server.OpSetMTLSPolicy, want: [5]string{anon, perm, perm, perm, ok}, request: put},
		"delete an mTLS policy": {op: server.OpDeleteMTLSPolicy, want: [5]string{anon, perm, perm, perm, none}, request: drop},
		"list overrides": {
			op: server.OpListMTLSOverrides, want: [5]string{anon, perm, ok, ok, ok},
			request: get("/v1/mtls/overrides", apiv1.MTLSService_ListMTLSOverrides_FullMethodName, &apiv1.ListMTLSOverridesRequest{}, &apiv1.ListMTLSOverridesResponse{}),
		},
		"start an override": {
			op: server.OpStartMTLSOverride, want: [5]string{anon, perm, perm, ok, ok},
			request: post("/v1/mtls/overrides", apiv1.MTLSService_StartMTLSOverride_FullMethodName,
				&apiv1.StartMTLSOverrideRequest{Pattern: "/ns/**", Reason: "r"}, &apiv1.MTLSOverride{}),
		},
		"end an override": {op: server.OpEndMTLSOverride, want: [5]string{anon, perm, perm, none, none}, request: end},
		"ask what holds for an identity": {
			op: server.OpGetEffectiveMTLS, want: [5]string{anon, perm, ok, ok, ok},
			request: get("/v1/mtls/effective?spiffe_id="+web, apiv1.MTLSService_GetEffectiveMTLS_FullMethodName,
				&apiv1.GetEffectiveMTLSRequest{SpiffeId: web}, &apiv1.EffectiveMTLS{}),
		},
		"ask who is ready to be strict": {
			op: server.OpListMTLSReadiness, want: [5]string{anon, perm, ok, ok, ok},
			request: get("/v1/mtls/readiness", apiv1.MTLSService_ListMTLSReadiness_FullMethodName, &apiv1.ListMTLSReadinessRequest{}, &apiv1.ListMTLSReadinessResponse{}),
		},
		"report": {
			op: server.OpReportMTLS, want: [5]string{anon, ok, ok, ok, ok},
			request: post("/v1/mtls/report", apiv1.MTLSService_ReportMTLS_FullMethodName,
				&apiv1.ReportMTLSRequest{Instance: "0123456789abcdef"}, &emptypb.Empty{}),
		},
	}
}

// orderPermissions are steps by hand, of a server that takes none: who may order is told so.
func orderPermissions() map[string]permissionCase {
	cases := make(map[string]permissionCase)
	add := func(name string, op server.Operation, r request, body string) {
		r.body = []byte(body)
		cases[name] = permissionCase{op: op, want: [5]string{anon, perm, perm, perm, none}, request: r}
	}
	const reason = `{"reason":"key was copied"}`
	add("prepare a root", server.OpPrepareAuthority, post("/v1/authorities/prepare", apiv1.AuthorityService_PrepareAuthority_FullMethodName,
		&apiv1.PrepareAuthorityRequest{}, &apiv1.AuthorityOutcome{}), `{}`)
	add("rotate the intermediate", server.OpRotateAuthority, post("/v1/authorities/rotate", apiv1.AuthorityService_RotateAuthority_FullMethodName,
		&apiv1.RotateAuthorityRequest{Role: "intermediate"}, &apiv1.AuthorityOutcome{}), `{"role":"intermediate"}`)
	add("activate a root", server.OpActivateAuthority, post("/v1/authorities/none/activate", apiv1.AuthorityService_ActivateAuthority_FullMethodName,
		&apiv1.ActivateAuthorityRequest{Id: "none"}, &apiv1.AuthorityOutcome{}), `{}`)
	add("taint an authority", server.OpTaintAuthority, post("/v1/authorities/none/taint", apiv1.AuthorityService_TaintAuthority_FullMethodName,
		&apiv1.TaintAuthorityRequest{Id: "none", Reason: "key was copied"}, &apiv1.AuthorityOutcome{}), reason)
	add("revoke an authority", server.OpRevokeAuthority, post("/v1/authorities/none/revoke", apiv1.AuthorityService_RevokeAuthority_FullMethodName,
		&apiv1.RevokeAuthorityRequest{Id: "none", Reason: "key was copied"}, &apiv1.AuthorityOutcome{}), reason)
	add("declare an incident", server.OpCreateIncident, post("/v1/incidents", apiv1.IncidentService_CreateIncident_FullMethodName,
		&apiv1.CreateIncidentRequest{Reason: "key was copied"}, &apiv1.AuthorityOutcome{}), reason)
	return cases
}

func entryPermissions() map[string]permissionCase {
	entry := &apiv1.CreateEntryRequest{SpiffeId: "spiffe://example.org/web", Method: "join_token"}
	reserved := &apiv1.CreateEntryRequest{SpiffeId: "spiffe://example.org/pando/admin/eve", Method: "join_token"}
	remove := get("/v1/entries/ent_none", apiv1.EntryService_DeleteEntry_FullMethodName, &apiv1.DeleteEntryRequest{Id: "ent_none"}, &emptypb.Empty{})
	remove.httpMethod = http.MethodDelete
	return map[string]permissionCase{
		"make an entry": {
			op: server.OpCreateEntry, want: [5]string{anon, perm, perm, ok, ok},
			request: post("/v1/entries", apiv1.EntryService_CreateEntry_FullMethodName, entry, &apiv1.Entry{}),
		},
		"make an entry for an administrator": {
			op: server.OpCreateEntry, want: [5]string{anon, perm, perm, perm, ok},
			request: post("/v1/entries", apiv1.EntryService_CreateEntry_FullMethodName, reserved, &apiv1.Entry{}),
		},
		"look an entry up": {
			op: server.OpGetEntry, want: [5]string{anon, perm, none, none, none},
			request: get("/v1/entries/ent_none", apiv1.EntryService_GetEntry_FullMethodName, &apiv1.GetEntryRequest{Id: "ent_none"}, &apiv1.Entry{}),
		},
		"list entries": {
			op: server.OpListEntries, want: [5]string{anon, perm, ok, ok, ok},
			request: get("/v1/entries", apiv1.EntryService_ListEntries_FullMethodName, &apiv1.ListEntriesRequest{}, &apiv1.ListEntriesResponse{}),
		},
		"delete an entry": {op: server.OpDeleteEntry, want: [5]string{anon, perm, perm, none, none}, request: remove},
		"make a join token": {
			op: server.OpCreateJoinToken, want: [5]string{anon, perm, perm, none, none},
			request: post("/v1/join-tokens", apiv1.JoinTokenService_CreateJoinToken_FullMethodName,
				&apiv1.CreateJoinTokenRequest{EntryId: "ent_none"}, &apiv1.JoinToken{}),
		},
	}
}

func get(path, method string, message, answer proto.Message) request {
	return request{httpMethod: http.MethodGet, path: path, rpcMethod: method, message: message, answer: answer}
}

func post(path, method string, message, answer proto.Message) request {
	return request{httpMethod: http.MethodPost, path: path, rpcMethod: method, message: message, answer: answer}
}

// TestPermissions asks for every operation as every role, through both doors.
func TestPermissions(t *testing.T) {
	doors := apitest.New(t, apitest.Options{})
	clients := make(map[apitest.Role]*http.Client)
	conns := make(map[apitest.Role]*grpc.ClientConn)
	for _, role := range apitest.Roles() {
		clients[role], conns[role] = doors.HTTP(t, role), doors.GRPC(t, role)
	}
	covered := make(map[server.Operation]bool)
	for name, c := range permissionCases(t) {
		covered[c.op] = true
		t.Run(name, func(t *testing.T) {
			if c.request.httpMethod == http.MethodPost && c.request.body == nil && c.op != server.OpRunJob { // which has no body
				c.request.body = toJSON(t, c.request.message)
			}
			var overHTTP, overRPC [5]string
			for i, role := range apitest.Roles() {
				_, _, overHTTP[i] = overREST(t, doors, clients[role], c.request)
				_, overRPC[i] = overGRPC(t, conns[role], c.request)
			}
			if diff := cmp.Diff(c.want, overHTTP); diff != "" {
				t.Errorf("REST (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.want, overRPC); diff != "" {
				t.Errorf("gRPC (-want +got):\n%s", diff)
			}
		})
	}
	for _, op := range server.Operations() {
		if !covered[op] {
			t.Errorf("operation %s is not in the table", op)
		}
	}
}

// call makes a call that must succeed.
func call(t *testing.T, conn grpc.ClientConnInterface, method string, in, out proto.Message) {
	t.Helper()
	if err := conn.Invoke(t.Context(), method, in, out); err != nil {
		t.Fatalf("%s: %v", method, err)
	}
}
