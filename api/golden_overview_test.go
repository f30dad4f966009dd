package api_test

import (
	"net/http"
	"testing"
	"time"

	apiv1 "github.com/pando-ca/pando/api/v1"

	"github.com/pando-ca/pando/api/apitest"
	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
)

// spreading is a rotation in which a root has been prepared.
type spreading struct{}

func (spreading) Progress(time.Time) *server.RotationProgress {
	at := time.Date(2026, 11, 22, 14, 2, 0, 0, time.UTC)
	return &server.RotationProgress{
		Replica: "pando-0/1/abcdefgh", Leader: true,
		Roles: []server.RoleProgress{{Role: ca.RoleRoot, Phase: "spreading", Entered: at, Ends: at.Add(time.Hour), Due: at.Add(time.Hour)}},
		Gates: []server.AuthorityProgress{{
			ID: "8052de7c88641a6b", Role: ca.RoleRoot, State: ca.StatePrepared, NotBefore: at, NotAfter: at.AddDate(3, 0, 0), StateSince: at,
			Waiting: "waiting: 9812 of 10000 followers have acknowledged sequence 7; opens by time at 15:02",
			OpensAt: at.Add(time.Hour), Followers: 10_000, Behind: 188, Live: 1,
		}, {
			ID: "5a1c0d2e3f405162", Role: ca.RoleIntermediate, State: ca.StateActive, ParentID: "8052de7c88641a6b", NotBefore: at, NotAfter: at.AddDate(1, 0, 0),
		}},
	}
}

// TestGoldenOverview compares what those are told who watch.
func TestGoldenOverview(t *testing.T) {
	doors := apitest.New(t, apitest.Options{Progress: spreading{}, Jobs: oneJob{}})
	call(t, doors.GRPC(t, apitest.Operator), apiv1.MTLSService_StartMTLSOverride_FullMethodName,
		&apiv1.StartMTLSOverrideRequest{Pattern: "/ns/prod/**", Reason: "a partner without certificates"}, &apiv1.MTLSOverride{})
	appendAudits(t, doors)
	if err := doors.Service.RefreshFigures(t.Context(), store.Fence{}, time.Now()); err != nil {
		t.Fatal(err)
	}
	compareDoors(t, doors, exchangeCase{role: apitest.Viewer, out: "overview.json", request: get(
		"/v1/overview?audit=2", apiv1.OverviewService_GetOverview_FullMethodName, &apiv1.GetOverviewRequest{Audit: 2}, &apiv1.Overview{})})
}

// TestOverviewLimits: an overview is for a screen.
func TestOverviewLimits(t *testing.T) {
	doors := apitest.New(t, apitest.Options{})
	client, conn := doors.HTTP(t, apitest.Viewer), doors.GRPC(t, apitest.Viewer)
	for name, test := range map[string]struct {
		query string
		audit int32
		want  string
	}{
		"as many as there may be": {"?audit=50", 50, ok},
		"one too many":            {"?audit=51", 51, "invalid_request"},
		"fewer than none":         {"?audit=-1", -1, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			r := get("/v1/overview"+test.query, apiv1.OverviewService_GetOverview_FullMethodName, &apiv1.GetOverviewRequest{Audit: test.audit}, &apiv1.Overview{})
			r.httpMethod = http.MethodGet
			if _, _, code := overREST(t, doors, client, r); code != test.want {
				t.Errorf("REST: %s, want %s", code, test.want)
			}
			if _, code := overGRPC(t, conn, r); code != test.want {
				t.Errorf("gRPC: %s, want %s", code, test.want)
			}
		})
	}
}
