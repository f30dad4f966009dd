package rpc

import (
	"context"
	"time"

	apiv1 "github.com/pando-ca/pando/api/v1"
	"github.com/pando-ca/pando/server"
)

// trust is pando.v1.TrustService.
type trust struct {
	apiv1.UnimplementedTrustServiceServer
	service *server.Service
}

var _ apiv1.TrustServiceServer = (*trust)(nil)

// GetBundle implements apiv1.TrustServiceServer.
func (s *trust) GetBundle(context.Context, *apiv1.GetBundleRequest) (*apiv1.GetBundleResponse, error) {
	bundle := s.service.Bundle()
	return &apiv1.GetBundleResponse{Bundle: newBundle(bundle), Document: string(bundle.Document)}, nil
}

func newBundle(b *server.Bundle) *apiv1.Bundle {
	return &apiv1.Bundle{
		TrustDomain: b.TrustDomain, Sequence: b.Sequence,
		RefreshHint: int32(b.RefreshHint / time.Second), Roots: b.PEM,
	}
}
