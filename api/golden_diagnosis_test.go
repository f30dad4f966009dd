package api_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	apiv1 "github.com/pando-ca/pando/api/v1"

	"github.com/pando-ca/pando/api/apitest"
	"github.com/pando-ca/pando/server"
)

// physician finds the same each time.
type physician struct{}

// Names implements server.Diagnostics.
func (physician) Names() []string { return []string{"authorities", "backup", "keys"} }

// Run implements server.Diagnostics.
func (physician) Run(_ context.Context, names []string, _ time.Time) []server.Check {
	all := []server.Check{
		{Name: "authorities", Level: server.LevelOK, Finding: "every authority has more than 20% of its life left"},
		{
			Name: "backup", Level: server.LevelWarning, Finding: "the last backup was made 3d ago",
			Advice: "pando backup create, and docs/runbooks/backup-stale.md", Evidence: map[string]string{"age": "3d"},
		},
		{Name: "keys", Level: server.LevelUnknown, Finding: "not known: no answer within 10s", Advice: "try again"},
	}
	if len(names) == 1 {
		return all[1:2]
	}
	return all
}

// TestGoldenDiagnosis compares what those are told who ask what is wrong.
func TestGoldenDiagnosis(t *testing.T) {
	doors := apitest.New(t, apitest.Options{Diagnostics: physician{}})
	compareDoors(t, doors, exchangeCase{role: apitest.Viewer, out: "diagnosis.json", request: get(
		"/v1/diagnosis", apiv1.DiagnosisService_GetDiagnosis_FullMethodName, &apiv1.GetDiagnosisRequest{}, &apiv1.Diagnosis{})})
}

// TestChecksAreNamed: both doors make the checks that are named, and refuse names of none.
func TestChecksAreNamed(t *testing.T) {
	doors := apitest.New(t, apitest.Options{Diagnostics: physician{}})
	client, conn := doors.HTTP(t, apitest.Viewer), doors.GRPC(t, apitest.Viewer)
	for name, test := range map[string]struct {
		query  string
		checks []string
		want   string
		found  int
	}{
		"all":               {"", nil, ok, 3},
		"one":               {"?checks=backup", []string{"backup"}, ok, 1},
		"several":           {"?checks=backup,keys,authorities", []string{"backup", "keys", "authorities"}, ok, 3},
		"one that is none":  {"?checks=backups", []string{"backups"}, "invalid_request", 0},
		"one of no letters": {"?checks=%00", []string{"\x00"}, "invalid_request", 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := get("/v1/diagnosis"+test.query, apiv1.DiagnosisService_GetDiagnosis_FullMethodName,
				&apiv1.GetDiagnosisRequest{Checks: test.checks}, &apiv1.Diagnosis{})
			r.httpMethod = http.MethodGet
			_, _, code := overREST(t, doors, client, r)
			answer, rpcCode := overGRPC(t, conn, r)
			if code != test.want || rpcCode != test.want {
				t.Fatalf("REST: %s, gRPC: %s, want %s", code, rpcCode, test.want)
			}
			if diagnosis, _ := answer.(*apiv1.Diagnosis); len(diagnosis.GetChecks()) != test.found {
				t.Errorf("%d checks, want %d", len(diagnosis.GetChecks()), test.found)
			}
		})
	}
}
