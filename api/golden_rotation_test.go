package api_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	apiv1 "github.com/pando-ca/pando/api/v1"

	"github.com/pando-ca/pando/api/apitest"
	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/server"
)

// rotating is a rotation in which a root has been prepared. Its certificates are borrowed.
type rotating struct{ set func() *ca.Set }

func (r rotating) Status(context.Context, time.Time) ([]server.AuthorityStatus, error) {
	since := time.Date(2026, 11, 22, 14, 2, 0, 0, time.UTC)
	var all []server.AuthorityStatus
	for _, a := range r.set().Authorities() {
		all = append(all, server.AuthorityStatus{
			ID: a.ID(), Role: a.Role(), State: a.State(), ParentID: a.ParentID(), StateSince: since,
			NotBefore: a.Certificate().NotBefore, NotAfter: a.Certificate().NotAfter, Certificate: a.Certificate().Raw,
		})
	}
	all[0].State, all[0].Sequence = ca.StatePrepared, 7
	all[0].Waiting = "waiting: 9812 of 10000 followers have acknowledged sequence 7; opens by time at 14:32"
	all[0].OpensAt, all[0].Followers, all[0].Behind = since.Add(30*time.Minute), 10_000, 188
	all[1].Live = 10_000
	all[1].CRLThisUpdate, all[1].CRLNextUpdate, all[1].CRLEntries = since, since.Add(4*time.Hour), 312
	return all, nil
}

// offlineRoot is a root whose holder signs. It adopts what it is given, or refuses it.
type offlineRoot struct{ refuse error }

func (offlineRoot) Request(context.Context, bool, string, time.Time) (*server.AuthorityRequest, error) {
	return &server.AuthorityRequest{
		Role: ca.RoleIntermediate, CSR: []byte("the DER of a request"),
		CreatedAt: time.Date(2026, 11, 22, 14, 2, 0, 0, time.UTC), CreatedBy: apitest.ID(apitest.Admin),
	}, nil
}

func (r offlineRoot) Import(_ context.Context, intermediate, _ *x509.Certificate, _ string, _ time.Time) ([]string, error) {
	return []string{ca.AuthorityID(intermediate)}, r.refuse
}

// oneJob is a schedule of one job.
type oneJob struct{ err error }

func (oneJob) Status(time.Time) []server.JobStatus {
	at := time.Date(2026, 11, 22, 14, 2, 0, 0, time.UTC)
	return []server.JobStatus{{
		Name: "rotate", Schedule: "@every 10s", NextRun: at.Add(10 * time.Second), Running: true,
		LastSuccess: at, LastDuration: 250 * time.Millisecond, LastError: "database unavailable",
		Succeeded: 41, Failed: 1, Skipped: 2,
	}}
}

func (j oneJob) RunNow(context.Context, string) error { return j.err }

// TestGoldenRotation compares what administrators see of a rotation.
func TestGoldenRotation(t *testing.T) {
	var doors *apitest.Doors
	rotation := rotating{func() *ca.Set { return doors.PKI.Set() }}
	doors = apitest.New(t, apitest.Options{Rotation: rotation, Jobs: oneJob{}, Imports: offlineRoot{}})
	root := doors.PKI.Set().Authorities()[0].ID()
	chain := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: doors.PKI.Set().Issuer().Certificate().Raw}))
	cases := map[string]exchangeCase{
		"authorities": {role: apitest.Viewer, out: "authorities-list.json", request: get("/v1/authorities",
			apiv1.AuthorityService_ListAuthorities_FullMethodName, &apiv1.ListAuthoritiesRequest{}, &apiv1.ListAuthoritiesResponse{})},
		"an authority": {role: apitest.Viewer, out: "authority.json", request: get("/v1/authorities/"+root,
			apiv1.AuthorityService_GetAuthority_FullMethodName, &apiv1.GetAuthorityRequest{Id: root}, &apiv1.Authority{})},
		"a request for an intermediate": {role: apitest.Admin, out: "authority-csr.json", request: post("/v1/authorities/csr",
			apiv1.AuthorityService_RequestAuthority_FullMethodName, &apiv1.RequestAuthorityRequest{}, &apiv1.RequestAuthorityResponse{})},
		"an imported intermediate": {role: apitest.Admin, out: "authority-import.json", request: post("/v1/authorities/import",
			apiv1.AuthorityService_ImportAuthority_FullMethodName, &apiv1.ImportAuthorityRequest{Chain: chain}, &apiv1.ImportAuthorityResponse{})},
		"jobs": {role: apitest.Viewer, out: "schedule.json", request: get("/v1/schedule",
			apiv1.ScheduleService_ListJobs_FullMethodName, &apiv1.ListJobsRequest{}, &apiv1.ListJobsResponse{})},
		"a job that was run": {role: apitest.Admin, out: "job.json", request: request{
			httpMethod: http.MethodPost, path: "/v1/schedule/rotate/run",
			rpcMethod: apiv1.ScheduleService_RunJob_FullMethodName, message: &apiv1.RunJobRequest{Job: "rotate"}, answer: &apiv1.Job{},
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if strings.HasPrefix(c.request.path, "/v1/authorities/") && c.request.httpMethod == http.MethodPost {
				c.request.body = toJSON(t, c.request.message)
			}
			compareDoors(t, doors, c)
		})
	}
}

// TestARefusedImportSaysWhy: both doors pass the sentence on.
func TestARefusedImportSaysWhy(t *testing.T) {
	refuse := fmt.Errorf("imported root: it has no SPIFFE ID (%w)", server.ErrImportRefused)
	doors := apitest.New(t, apitest.Options{Imports: offlineRoot{refuse: refuse}})
	chain := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: doors.PKI.Set().Issuer().Certificate().Raw}))
	for sent, want := range map[string]string{chain: "it has no SPIFFE ID", chain + "junk": "something else than PEM", "": "holds no certificate"} {
		in := post("/v1/authorities/import", apiv1.AuthorityService_ImportAuthority_FullMethodName,
			&apiv1.ImportAuthorityRequest{Chain: sent}, &apiv1.ImportAuthorityResponse{})
		in.body = toJSON(t, in.message)
		status, body, code := overREST(t, doors, doors.HTTP(t, apitest.Admin), in)
		if status != http.StatusBadRequest || code != "invalid_request" || !strings.Contains(string(body), want) {
			t.Errorf("REST answers %d, %s: %s, want %q", status, code, body, want)
		}
		if _, code := overGRPC(t, doors.GRPC(t, apitest.Admin), in); code != "invalid_request" {
			t.Errorf("gRPC answers %s", code)
		}
	}
}

// TestARunningJobIsNotRunTwice: both doors say that somebody was first.
func TestARunningJobIsNotRunTwice(t *testing.T) {
	doors := apitest.New(t, apitest.Options{Jobs: oneJob{err: server.ErrJobRunning}})
	run := request{
		httpMethod: http.MethodPost, path: "/v1/schedule/rotate/run",
		rpcMethod: apiv1.ScheduleService_RunJob_FullMethodName, message: &apiv1.RunJobRequest{Job: "rotate"}, answer: &apiv1.Job{},
	}
	status, _, code := overREST(t, doors, doors.HTTP(t, apitest.Admin), run)
	if status != http.StatusConflict || code != "conflict" {
		t.Errorf("REST answers %d, %s", status, code)
	}
	if _, code := overGRPC(t, doors.GRPC(t, apitest.Admin), run); code != "conflict" {
		t.Errorf("gRPC answers %s", code)
	}
}
