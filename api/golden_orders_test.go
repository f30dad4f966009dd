package api_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	apiv1 "github.com/pando-ca/pando/api/v1"

	"github.com/pando-ca/pando/api/apitest"
	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/server"
)

// byHand takes every order down, and answers with an outcome that has every field; or refuses.
type byHand struct {
	orders  []server.AuthorityOrder
	refusal error
}

func (b *byHand) Carry(_ context.Context, o server.AuthorityOrder, _ bool, _ time.Time) (*server.AuthorityOutcome, error) {
	b.orders = append(b.orders, o)
	incident := anIncident()
	return &server.AuthorityOutcome{
		Generation: 12, CutOff: 3, Followers: 10_000, Behind: 188, Objection: "3 live certificates depend on it", Incident: &incident,
		Changes: []server.AuthorityChange{
			{Authority: "fdd0f9ad3f38ebc1", Role: ca.RoleRoot, From: ca.StateActive, To: ca.StateTainted},
			{Role: ca.RoleIntermediate, To: ca.StateActive},
		},
	}, b.refusal
}

func (b *byHand) Incidents(context.Context, int, time.Time) ([]server.Incident, error) {
	return []server.Incident{anIncident()}, nil
}

func (b *byHand) Incident(context.Context, string, time.Time) (*server.Incident, error) {
	i := anIncident()
	return &i, nil
}

func anIncident() server.Incident {
	at := time.Date(2026, 11, 22, 14, 2, 0, 0, time.UTC)
	return server.Incident{
		ID: "GC7BVYMB36FPVJMS", CreatedAt: at, Actor: "spiffe://example.org/pando/admin/ann", Reason: "key was copied",
		Issuers: []string{"8052de7c88641a6b"}, StartsAt: at, Deadline: at.Add(4 * time.Hour), Rate: 2.5, Total: 10_000,
		ClosedAt: at.Add(3 * time.Hour), Replaced: 9688, Left: 312, Overdue: 12, RateNow: 1.25, DoneAt: at.Add(2 * time.Hour),
	}
}

// TestGoldenOrders compares what administrators order and are told.
func TestGoldenOrders(t *testing.T) {
	deadline := time.Date(2026, 11, 22, 18, 2, 0, 0, time.UTC)
	b := &byHand{}
	doors := apitest.New(t, apitest.Options{Orders: b, Incidents: b})
	taint := &apiv1.TaintAuthorityRequest{}
	fromJSON(t, golden(t, "taint-request.json"), taint)
	taint.Id = "fdd0f9ad3f38ebc1" // which REST has in the path
	outcome := func(path, method, in string) exchangeCase {
		return exchangeCase{role: apitest.Admin, out: "authority-outcome.json", request: request{
			httpMethod: http.MethodPost, path: path, body: golden(t, in), rpcMethod: method, message: taint, answer: &apiv1.AuthorityOutcome{},
		}}
	}
	for name, c := range map[string]exchangeCase{
		"an authority is tainted": outcome("/v1/authorities/fdd0f9ad3f38ebc1/taint", apiv1.AuthorityService_TaintAuthority_FullMethodName, "taint-request.json"),
		"incidents": {role: apitest.Viewer, out: "incidents-list.json", request: get("/v1/incidents",
			apiv1.IncidentService_ListIncidents_FullMethodName, &apiv1.ListIncidentsRequest{}, &apiv1.ListIncidentsResponse{})},
		"an incident": {role: apitest.Viewer, out: "incident.json", request: get("/v1/incidents/GC7BVYMB36FPVJMS",
			apiv1.IncidentService_GetIncident_FullMethodName, &apiv1.GetIncidentRequest{Id: "GC7BVYMB36FPVJMS"}, &apiv1.Incident{})},
	} {
		t.Run(name, func(t *testing.T) { compareDoors(t, doors, c) })
	}
	want := server.AuthorityOrder{
		Action: server.ActionTaint, Authority: "fdd0f9ad3f38ebc1", Reason: "key was copied", Rate: 2.5, Deadline: deadline, DryRun: true,
	}
	if len(b.orders) != 2 {
		t.Fatalf("%d orders", len(b.orders))
	}
	for i := range b.orders {
		want.Actor = b.orders[i].Actor
		if diff := cmp.Diff(want, b.orders[i]); diff != "" || want.Actor == "" {
			t.Errorf("order %d (-want +got):\n%s", i, diff)
		}
	}
}

// TestARefusedOrder: both doors say why, and whether force would help.
func TestARefusedOrder(t *testing.T) {
	for code, force := range map[string]bool{"refused": false, "needs_force": true} {
		b := &byHand{refusal: server.Refused("3 live certificates depend on it", force)}
		doors := apitest.New(t, apitest.Options{Orders: b})
		r := post("/v1/authorities/x/revoke", apiv1.AuthorityService_RevokeAuthority_FullMethodName,
			&apiv1.RevokeAuthorityRequest{Id: "x", Reason: "r"}, &apiv1.AuthorityOutcome{})
		r.body = []byte(`{"reason":"r"}`)
		status, _, got := overREST(t, doors, doors.HTTP(t, apitest.Admin), r)
		if status != http.StatusConflict || got != code {
			t.Errorf("REST answers %d, %s, want %s", status, got, code)
		}
		if _, got := overGRPC(t, doors.GRPC(t, apitest.Admin), r); got != code {
			t.Errorf("gRPC answers %s, want %s", got, code)
		}
	}
}

// TestHostileOrders are refused before anybody carries them out.
func TestHostileOrders(t *testing.T) {
	b := &byHand{}
	doors := apitest.New(t, apitest.Options{Orders: b})
	admin := doors.HTTP(t, apitest.Admin)
	for name, tt := range map[string]struct{ path, body string }{
		"no reason":               {"x/taint", `{}`},
		"a reason of spaces":      {"x/revoke", `{"reason":"  "}`},
		"a reason of two lines":   {"x/taint", `{"reason":"a\nb"}`},
		"a reason with an escape": {"x/taint", `{"reason":"a\u001b[31mb"}`},
		"a reason without end":    {"x/taint", `{"reason":"` + strings.Repeat("a", 1001) + `"}`},
		"a negative rate":         {"x/taint", `{"reason":"r","rate":-1}`},
		"a rate in words":         {"x/taint", `{"reason":"r","rate":"fast"}`},
		"a field that is not":     {"x/revoke", `{"reason":"r","forced":true}`},
		"an unknown role":         {"rotate", `{"role":"leaf"}`},
		"no role":                 {"rotate", `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, code := overREST(t, doors, admin, request{httpMethod: http.MethodPost, path: "/v1/authorities/" + tt.path, body: []byte(tt.body)})
			if code != "invalid_request" || len(b.orders) > 0 {
				t.Errorf("answered with %s, %d orders", code, len(b.orders))
			}
		})
	}
}
