package rest

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pando-ca/pando/server"
)

func (d *rest) diagnosisRoutes() {
	register(d, server.OpDiagnose, huma.Operation{
		Method: http.MethodGet, Path: "/v1/diagnosis", Summary: "Look for what is wrong",
		Description: "The replica that answers looks at itself, at its configuration, and at the state that it shares with others. Requires the role viewer.",
	}, d.diagnose)
}

type diagnosisInput struct {
	Checks []string `query:"checks" maxItems:"100" doc:"Names of the checks to make, separated by commas; unset: all."`
}
type diagnosisOutput struct{ Body *Diagnosis }

func (d *rest) diagnose(ctx context.Context, ex *exchange, in *diagnosisInput) (*diagnosisOutput, error) {
	found, err := d.cfg.Service.Diagnose(ctx, ex.Caller, in.Checks)
	if err != nil {
		return nil, err
	}
	body := &Diagnosis{At: found.At.UTC(), Version: found.Version, Checks: make([]Check, len(found.Checks))}
	for i, c := range found.Checks {
		body.Checks[i] = Check{Name: c.Name, Level: string(c.Level), Finding: c.Finding, Advice: c.Advice, Evidence: c.Evidence}
	}
	return &diagnosisOutput{body}, nil
}
