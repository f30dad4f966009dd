package api_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/pando-ca/pando/api/v1"

	"github.com/pando-ca/pando/api/apitest"
	"github.com/pando-ca/pando/store"
)

func appendAudits(t *testing.T, doors *apitest.Doors) {
	t.Helper()
	at := time.Date(2026, 11, 22, 14, 2, 0, 0, time.UTC)
	for i, target := range []string{"ent_1f0b3c7d9a2e4f6081b3c5d7", "", "a1"} {
		audit := store.Audit{At: at.Add(time.Duration(i) * time.Hour), Actor: apitest.ID(apitest.Admin), Action: "entry.create", Target: target}
		if target != "" {
			audit.Detail = map[string]string{"spiffe_id": "spiffe://example.org/web", "method": "jwt"}
		}
		if err := doors.Store.AppendAudit(t.Context(), audit); err != nil {
			t.Fatal(err)
		}
	}
}

// TestGoldenAudit compares what those are told who ask who has done what.
func TestGoldenAudit(t *testing.T) {
	doors := apitest.New(t, apitest.Options{})
	appendAudits(t, doors)
	compareDoors(t, doors, exchangeCase{role: apitest.Viewer, out: "audit-list.json", request: get(
		"/v1/audit?order=oldest&page_size=2", apiv1.AuditService_ListAudit_FullMethodName,
		&apiv1.ListAuditRequest{Order: "oldest", PageSize: 2}, &apiv1.ListAuditResponse{})})
}

// TestAuditFilters: both doors take the same filters, and refuse the same ones.
func TestAuditFilters(t *testing.T) {
	doors := apitest.New(t, apitest.Options{})
	appendAudits(t, doors)
	client, conn := doors.HTTP(t, apitest.Viewer), doors.GRPC(t, apitest.Viewer)
	moment := timestamppb.New(time.Date(2026, 11, 22, 15, 0, 0, 0, time.UTC))
	for name, test := range map[string]struct {
		query   string
		message *apiv1.ListAuditRequest
		want    string // a code, when it is not ok
		rows    int
	}{
		"nothing in particular": {"", &apiv1.ListAuditRequest{}, ok, 3},
		"a target":              {"?target=a1", &apiv1.ListAuditRequest{Target: "a1"}, ok, 1},
		"an actor who was idle": {"?actor=spiffe://example.org/x", &apiv1.ListAuditRequest{Actor: "spiffe://example.org/x"}, ok, 0},
		"an action":             {"?action=entry.create", &apiv1.ListAuditRequest{Action: "entry.create"}, ok, 3},
		"since a moment":        {"?since=2026-11-22T15:00:00Z", &apiv1.ListAuditRequest{Since: moment}, ok, 2},
		"until a moment":        {"?until=2026-11-22T15:00:00Z", &apiv1.ListAuditRequest{Until: moment}, ok, 1},
		"behind a page":         {"?page_token=2", &apiv1.ListAuditRequest{PageToken: "2"}, ok, 1},
		"an order that is none": {"?order=random", &apiv1.ListAuditRequest{Order: "random"}, "invalid_request", 0},
		"a page that is none":   {"?page_token=x", &apiv1.ListAuditRequest{PageToken: "x"}, "invalid_request", 0},
		"a page too long":       {"?page_size=1000", &apiv1.ListAuditRequest{PageSize: 1000}, "invalid_request", 0},
		"NUL":                   {"?actor=%00", &apiv1.ListAuditRequest{Actor: "\x00"}, "invalid_request", 0},
		"a moment that is none": {"?since=noon", &apiv1.ListAuditRequest{Since: &timestamppb.Timestamp{Nanos: -1}}, "invalid_request", 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := get("/v1/audit"+test.query, apiv1.AuditService_ListAudit_FullMethodName, test.message, &apiv1.ListAuditResponse{})
			r.httpMethod = http.MethodGet
			_, body, code := overREST(t, doors, client, r)
			answer, rpcCode := overGRPC(t, conn, r)
			if code != test.want || rpcCode != test.want {
				t.Fatalf("REST: %s, gRPC: %s, want %s", code, rpcCode, test.want)
			}
			if test.want != ok {
				return
			}
			var list struct{ Rows []struct{} }
			if err := json.Unmarshal(body, &list); err != nil || len(list.Rows) != test.rows {
				t.Errorf("REST: %d rows, %v, want %d", len(list.Rows), err, test.rows)
			}
			if got := answer.(*apiv1.ListAuditResponse).GetRows(); len(got) != test.rows {
				t.Errorf("gRPC: %d rows, want %d", len(got), test.rows)
			}
		})
	}
}
