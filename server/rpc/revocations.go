package rpc

import (
	"context"

	apiv1 "github.com/pando-ca/pando/api/v1"
	"github.com/pando-ca/pando/server"
)

// revocations is pando.v1.RevocationService.
type revocations struct {
	apiv1.UnimplementedRevocationServiceServer
	service *server.Service
}

var _ apiv1.RevocationServiceServer = (*revocations)(nil)

// RevokeCertificate implements apiv1.RevocationServiceServer.
func (s *revocations) RevokeCertificate(ctx context.Context, in *apiv1.RevokeCertificateRequest) (*apiv1.Certificate, error) {
	r := requestOf(ctx)
	certificate, err := s.service.RevokeCertificate(ctx, r.Caller, in.GetSerial(), server.Reason(in.GetReason()))
	if err != nil {
		return nil, err
	}
	r.Issued(certificate.Serial, "")
	return newCertificate(certificate), nil
}

// CreateRevocation implements apiv1.RevocationServiceServer.
func (s *revocations) CreateRevocation(ctx context.Context, in *apiv1.CreateRevocationRequest) (*apiv1.CreateRevocationResponse, error) {
	result, err := s.service.Revoke(ctx, requestOf(ctx).Caller, server.RevocationSpec{
		SPIFFEID: in.GetSpiffeId(), Issuer: in.GetIssuer(), KeyHash: in.GetKeyHash(),
		Reason: server.Reason(in.GetReason()), DryRun: in.GetDryRun(),
	})
	if err != nil {
		return nil, err
	}
	return &apiv1.CreateRevocationResponse{
		Certificates: int32(result.Certificates), Identities: int32(result.Identities), More: result.More,
	}, nil
}

// newRevocations is nil when there are none to tell of.
func newRevocations(r *server.Revocations) *apiv1.Revocations {
	if r == nil {
		return nil
	}
	out := &apiv1.Revocations{
		Sequence: r.Sequence, Serials: make([]string, len(r.Serials)), Authorities: r.Authorities,
		More: r.More, Reset_: r.Reset,
	}
	for i, serial := range r.Serials {
		out.Serials[i] = serial.String()
	}
	return out
}
