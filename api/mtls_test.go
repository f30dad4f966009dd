package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/pando-ca/pando/api/v1"

	"github.com/pando-ca/pando/api/apitest"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/server"
)

// TestGoldenMTLS sets a policy, starts an override, tells what a program is told of both and hears
// what it reports, and ends the override, through both doors.
func TestGoldenMTLS(t *testing.T) {
	doors := apitest.New(t, apitest.Options{})
	set, start, report := &apiv1.SetMTLSPolicyRequest{}, &apiv1.StartMTLSOverrideRequest{}, &apiv1.ReportMTLSRequest{}
	sent := func(method, path, rpcMethod, in string, message, answer proto.Message) request {
		fromJSON(t, golden(t, in), message)
		return request{httpMethod: method, path: path, rpcMethod: rpcMethod, body: golden(t, in), message: message, answer: answer}
	}
	dry := sent(http.MethodPost, "/v1/mtls/overrides", apiv1.MTLSService_StartMTLSOverride_FullMethodName, "mtls-override-request.json",
		&apiv1.StartMTLSOverrideRequest{}, &apiv1.MTLSOverride{})
	dry.message.(*apiv1.StartMTLSOverrideRequest).DryRun = true
	dry.body = toJSON(t, dry.message)
	empty := ""
	for _, c := range []struct {
		name string
		exchangeCase
	}{
		{"a policy is set", exchangeCase{role: apitest.Admin, out: "mtls-policy.json", request: sent(http.MethodPut, "/v1/mtls/policies",
			apiv1.MTLSService_SetMTLSPolicy_FullMethodName, "mtls-policy-request.json", set, &apiv1.MTLSPolicy{})}},
		{"policies", exchangeCase{role: apitest.Viewer, out: "mtls-policies-list.json", request: get("/v1/mtls/policies?page_size=1",
			apiv1.MTLSService_ListMTLSPolicies_FullMethodName, &apiv1.ListMTLSPoliciesRequest{PageSize: 1}, &apiv1.ListMTLSPoliciesResponse{})}},
		{"a dry run of an override", exchangeCase{role: apitest.Operator, out: "mtls-override-dry-run.json", request: dry}},
		{"an override is started", exchangeCase{role: apitest.Operator, out: "mtls-override.json", request: sent(http.MethodPost, "/v1/mtls/overrides",
			apiv1.MTLSService_StartMTLSOverride_FullMethodName, "mtls-override-request.json", start, &apiv1.MTLSOverride{})}},
		{"overrides", exchangeCase{role: apitest.Viewer, out: "mtls-overrides-list.json", request: get("/v1/mtls/overrides?all=true",
			apiv1.MTLSService_ListMTLSOverrides_FullMethodName, &apiv1.ListMTLSOverridesRequest{All: true}, &apiv1.ListMTLSOverridesResponse{})}},
		{"what holds", exchangeCase{role: apitest.Viewer, out: "mtls-effective.json", request: get("/v1/mtls/effective?spiffe_id="+apitest.ID(apitest.Workload),
			apiv1.MTLSService_GetEffectiveMTLS_FullMethodName, &apiv1.GetEffectiveMTLSRequest{SpiffeId: apitest.ID(apitest.Workload)}, &apiv1.EffectiveMTLS{})}},
		{"what a program is told", exchangeCase{role: apitest.Workload, out: "trust-mtls.json", request: get("/v1/trust?after=1&mtls_version=",
			apiv1.TrustService_GetTrust_FullMethodName, &apiv1.GetTrustRequest{After: 1, MtlsVersion: &empty}, &apiv1.GetTrustResponse{})}},
	} {
		t.Run(c.name, func(t *testing.T) { compareDoors(t, doors, c.exchangeCase) })
	}
	said := sent(http.MethodPost, "/v1/mtls/report", apiv1.MTLSService_ReportMTLS_FullMethodName, "mtls-report-request.json", report, &emptypb.Empty{})
	if status, body, _ := overREST(t, doors, doors.HTTP(t, apitest.Workload), said); status != http.StatusNoContent || len(body) != 0 {
		t.Fatalf("a report is answered with %d: %s", status, body)
	}
	if _, code := overGRPC(t, doors.GRPC(t, apitest.Workload), said); code != "ok" {
		t.Fatalf("a report is answered with %s", code)
	}
	t.Run("readiness", func(t *testing.T) {
		compareDoors(t, doors, exchangeCase{role: apitest.Viewer, out: "mtls-readiness.json", request: get("/v1/mtls/readiness?for=1h&pattern=%2F*&page_size=2",
			apiv1.MTLSService_ListMTLSReadiness_FullMethodName,
			&apiv1.ListMTLSReadinessRequest{For: durationpb.New(time.Hour), Pattern: "/*", PageSize: 2}, &apiv1.ListMTLSReadinessResponse{})})
	})
	t.Run("an override is ended", func(t *testing.T) {
		id := startedOverride(t, doors, "/workload")
		compareDoors(t, doors, exchangeCase{role: apitest.Operator, out: "mtls-override-ended.json", request: request{
			httpMethod: http.MethodDelete, path: "/v1/mtls/overrides/" + id + "?reason=all%20is%20well",
			rpcMethod: apiv1.MTLSService_EndMTLSOverride_FullMethodName,
			message:   &apiv1.EndMTLSOverrideRequest{Id: id, Reason: "all is well"}, answer: &apiv1.MTLSOverride{},
		}})
	})
}

// startedOverride starts an override and returns its ID.
func startedOverride(t *testing.T, doors *apitest.Doors, pattern string) string {
	t.Helper()
	o := &apiv1.MTLSOverride{}
	call(t, doors.GRPC(t, apitest.Operator), apiv1.MTLSService_StartMTLSOverride_FullMethodName,
		&apiv1.StartMTLSOverrideRequest{Pattern: pattern, Reason: "clients are cut off"}, o)
	return o.GetId()
}

// TestPoliciesWakeAtBothDoors: what waits is told of an override, and of its end; what does not
// ask is told nothing.
func TestPoliciesWakeAtBothDoors(t *testing.T) {
	acks := make(acknowledged, 100)
	doors := apitest.New(t, apitest.Options{Acks: acks})
	first := askPolicy(t, doors, "")
	silent := pollREST(t, doors.HTTP(t, apitest.Viewer), doors.URL, "?after=1&wait=3s")
	acks.await(t, 1)
	stream, err := apiv1.NewTrustServiceClient(doors.GRPC(t, apitest.Workload)).WatchTrust(t.Context(),
		&apiv1.WatchTrustRequest{After: 1, MtlsVersion: &first.Version})
	if err != nil {
		t.Fatal(err)
	}
	if update, err := stream.Recv(); err != nil || update.GetMtls().GetVersion() != first.Version {
		t.Fatalf("the first update is %v, %v", update, err)
	}
	answers := make(chan policyAnswer, 1)
	go func() { answers <- askPolicy(t, doors, first.Version) }()
	id := startedOverride(t, doors, "/**")
	overHTTP := <-answers
	overRPC, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if len(overHTTP.Overrides) != 1 || overHTTP.Overrides[0].ID != id || overHTTP.Version != overRPC.GetMtls().GetVersion() {
		t.Errorf("told %+v and %v, want override %s", overHTTP, overRPC.GetMtls(), id)
	}
	call(t, doors.GRPC(t, apitest.Operator), apiv1.MTLSService_EndMTLSOverride_FullMethodName,
		&apiv1.EndMTLSOverrideRequest{Id: id, Reason: "all is well"}, &apiv1.MTLSOverride{})
	if ended := askPolicy(t, doors, overHTTP.Version); ended.Version != first.Version || len(ended.Overrides) != 0 {
		t.Errorf("at the end told %+v, want the version of the beginning", ended)
	}
	if got := await(t, silent); got.err != nil || got.sequence != 1 {
		t.Errorf("who does not ask is answered %+v", got)
	}
}

// policyAnswer is the policy in an answer over REST.
type policyAnswer struct {
	Version   string
	Rules     []json.RawMessage
	Overrides []struct{ ID string }
}

// askPolicy polls as the workload that has a version.
func askPolicy(t *testing.T, doors *apitest.Doors, version string) policyAnswer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, doors.URL+"/v1/trust?after=1&wait=20s&mtls_version="+version, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := doors.HTTP(t, apitest.Workload).Do(request)
	if err != nil {
		t.Error(err)
		return policyAnswer{}
	}
	defer response.Body.Close()
	var body struct{ MTLS *policyAnswer }
	if err := json.NewDecoder(response.Body).Decode(&body); err != nil || body.MTLS == nil || body.MTLS.Rules == nil || body.MTLS.Overrides == nil {
		t.Errorf("answered %s: %+v, %v", response.Status, body.MTLS, err)
		return policyAnswer{}
	}
	return *body.MTLS
}

// TestHostileMTLS sends what no client sends through both doors.
func TestHostileMTLS(t *testing.T) {
	doors := apitest.New(t, apitest.Options{})
	hour := timestamppb.New(time.Now().Add(-time.Hour))
	listener := &apiv1.MTLSListener{Mode: "strict", From: "code", ObservedSince: hour}
	for name, c := range map[string]struct {
		message, answer proto.Message
		path, method    string
		role            apitest.Role
	}{
		"an override for two hours": {
			&apiv1.StartMTLSOverrideRequest{Pattern: "/a", Reason: "r", Duration: durationpb.New(2 * time.Hour)}, &apiv1.MTLSOverride{},
			"/v1/mtls/overrides", apiv1.MTLSService_StartMTLSOverride_FullMethodName, apitest.Admin,
		},
		"an override for no time": {
			&apiv1.StartMTLSOverrideRequest{Pattern: "/a", Reason: "r", Duration: durationpb.New(0)}, &apiv1.MTLSOverride{},
			"/v1/mtls/overrides", apiv1.MTLSService_StartMTLSOverride_FullMethodName, apitest.Admin,
		},
		"an override without a reason": {
			&apiv1.StartMTLSOverrideRequest{Pattern: "/a"}, &apiv1.MTLSOverride{},
			"/v1/mtls/overrides", apiv1.MTLSService_StartMTLSOverride_FullMethodName, apitest.Admin,
		},
		"an override on Pando itself": {
			&apiv1.StartMTLSOverrideRequest{Pattern: "/pando/**", Reason: "r"}, &apiv1.MTLSOverride{},
			"/v1/mtls/overrides", apiv1.MTLSService_StartMTLSOverride_FullMethodName, apitest.Admin,
		},
		"an override for a regular expression": {
			&apiv1.StartMTLSOverrideRequest{Pattern: "/.*", Reason: "r"}, &apiv1.MTLSOverride{},
			"/v1/mtls/overrides", apiv1.MTLSService_StartMTLSOverride_FullMethodName, apitest.Admin,
		},
		"a report with 65 listeners": {
			&apiv1.ReportMTLSRequest{Instance: "0123456789abcdef", Listeners: many(65, listener)}, &emptypb.Empty{},
			"/v1/mtls/report", apiv1.MTLSService_ReportMTLS_FullMethodName, apitest.Workload,
		},
		"a report for another instance than there can be": {
			&apiv1.ReportMTLSRequest{Instance: "../../../etc/pwd", Listeners: many(1, listener)}, &emptypb.Empty{},
			"/v1/mtls/report", apiv1.MTLSService_ReportMTLS_FullMethodName, apitest.Workload,
		},
		"a report with a mode that is none": {
			&apiv1.ReportMTLSRequest{Instance: "0123456789abcdef", Listeners: []*apiv1.MTLSListener{{Mode: "x", From: "code", ObservedSince: hour}}}, &emptypb.Empty{},
			"/v1/mtls/report", apiv1.MTLSService_ReportMTLS_FullMethodName, apitest.Workload,
		},
	} {
		t.Run(name, func(t *testing.T) {
			tellsBoth(t, doors, c.role, post(c.path, c.method, c.message, c.answer), "invalid_request", "")
		})
	}
	client := doors.HTTP(t, apitest.Admin)
	for name, r := range map[string]request{
		"an empty pattern":          {httpMethod: http.MethodDelete, path: "/v1/mtls/policies?pattern="},
		"no pattern":                {httpMethod: http.MethodDelete, path: "/v1/mtls/policies"},
		"no reason":                 {httpMethod: http.MethodDelete, path: "/v1/mtls/overrides/ovr_x"},
		"a reason of two lines":     {httpMethod: http.MethodDelete, path: "/v1/mtls/overrides/ovr_x?reason=a%0Ab"},
		"a negative version":        {httpMethod: http.MethodDelete, path: "/v1/mtls/policies?pattern=%2Fa&version=-1"},
		"an unknown field":          {httpMethod: http.MethodPut, path: "/v1/mtls/policies", body: []byte(`{"pattern":"/a","mode":"strict","modes":"x"}`)},
		"the same field twice":      {httpMethod: http.MethodPut, path: "/v1/mtls/policies", body: []byte(`{"pattern":"/a","mode":"strict","mode":"disabled"}`)},
		"no time":                   {httpMethod: http.MethodGet, path: "/v1/mtls/readiness?for=0s"},
		"a time that is none":       {httpMethod: http.MethodGet, path: "/v1/mtls/readiness?for=1"},
		"two versions in a poll":    {httpMethod: http.MethodGet, path: "/v1/trust?mtls_version=a&mtls_version=b"},
		"an empty number in a poll": {httpMethod: http.MethodGet, path: "/v1/trust?mtls_version=&after="},
	} {
		if status, body, code := overREST(t, doors, client, r); status != http.StatusBadRequest || code != "invalid_request" {
			t.Errorf("%s is answered with %d: %s", name, status, body)
		}
	}
	// A long version is just another one; it is neither kept nor repeated.
	_, body, code := overREST(t, doors, doors.HTTP(t, apitest.Workload), request{httpMethod: http.MethodGet, path: "/v1/trust?mtls_version=" + strings.Repeat("f", 10_000)})
	if code != "ok" || strings.Contains(string(body), "fffff") {
		t.Errorf("a long version is answered with %.200s", body)
	}
	outOfRange := &apiv1.MTLSListener{Mode: "strict", From: "code", ObservedSince: &timestamppb.Timestamp{Seconds: 1 << 60}}
	if code := reportCode(t, doors.GRPC(t, apitest.Workload), outOfRange); code != "invalid_request" {
		t.Errorf("a time beyond all years is answered with %s", code)
	}
}

// many is so many listeners, with names of their own.
func many(n int, of *apiv1.MTLSListener) []*apiv1.MTLSListener {
	var all []*apiv1.MTLSListener
	for i := range n {
		one := proto.Clone(of).(*apiv1.MTLSListener)
		one.Name = "l" + strings.Repeat("x", i%60) + string(rune('a'+i/60))
		all = append(all, one)
	}
	return all
}

func reportCode(t *testing.T, conn *grpc.ClientConn, l *apiv1.MTLSListener) string {
	t.Helper()
	_, code := overGRPC(t, conn, post("", apiv1.MTLSService_ReportMTLS_FullMethodName,
		&apiv1.ReportMTLSRequest{Instance: "0123456789abcdef", Listeners: []*apiv1.MTLSListener{l}}, &emptypb.Empty{}))
	return code
}

// TestReportsAreOfOnesOwn: a workload has no way to name another identity, and a token is no
// certificate.
func TestReportsAreOfOnesOwn(t *testing.T) {
	doors := apitest.New(t, apitest.Options{})
	now := time.Now().UTC().Format(time.RFC3339)
	listeners := `"listeners":[{"mode":"strict","from":"code","observed_since":"` + now + `"}]`
	for body, want := range map[string]int{
		`{"instance":"0123456789abcdef",` + listeners + `}`:                                          http.StatusNoContent,
		`{"instance":"0123456789abcdef","spiffe_id":"spiffe://example.org/other",` + listeners + `}`: http.StatusBadRequest,
	} {
		r := request{httpMethod: http.MethodPost, path: "/v1/mtls/report", body: []byte(body)}
		if status, answer, _ := overREST(t, doors, doors.HTTP(t, apitest.Workload), r); status != want {
			t.Errorf("%s is answered with %d: %s", body, status, answer)
		}
	}
	page, err := doors.Service.ListMTLSReadiness(t.Context(), viewerByToken(), server.MTLSReadinessFilter{})
	if err != nil || len(page.Listeners) != 1 || page.Listeners[0].SPIFFEID != apitest.ID(apitest.Workload) {
		t.Errorf("kept: %+v, %v", page, err)
	}
}

// viewerByToken is a caller that needs no certificate.
func viewerByToken() policy.Caller {
	return policy.Caller{Method: policy.MethodJWT, Subject: "ci viewer", Role: policy.RoleViewer}
}
