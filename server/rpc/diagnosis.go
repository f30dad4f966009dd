package rpc

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/pando-ca/pando/api/v1"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/server/door"
)

// maxChecks is how many names a request may hold: more than there are checks.
const maxChecks = 100

// diagnosis is pando.v1.DiagnosisService.
type diagnosis struct {
	apiv1.UnimplementedDiagnosisServiceServer
	service *server.Service
}

var _ apiv1.DiagnosisServiceServer = (*diagnosis)(nil)

// GetDiagnosis implements apiv1.DiagnosisServiceServer.
func (s *diagnosis) GetDiagnosis(ctx context.Context, in *apiv1.GetDiagnosisRequest) (*apiv1.Diagnosis, error) {
	if len(in.GetChecks()) > maxChecks {
		return nil, door.Invalid("checks: there are too many")
	}
	found, err := s.service.Diagnose(ctx, requestOf(ctx).Caller, in.GetChecks())
	if err != nil {
		return nil, err
	}
	out := &apiv1.Diagnosis{At: timestamppb.New(found.At), Version: found.Version}
	for _, c := range found.Checks {
		out.Checks = append(out.Checks, &apiv1.Check{
			Name: c.Name, Level: string(c.Level), Finding: c.Finding, Advice: c.Advice, Evidence: c.Evidence,
		})
	}
	return out, nil
}
