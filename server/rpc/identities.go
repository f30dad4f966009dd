package rpc

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/pando-ca/pando/api/v1"
	"github.com/pando-ca/pando/server"
)

// identities is pando.v1.IdentityService.
type identities struct {
	apiv1.UnimplementedIdentityServiceServer
	service *server.Service
}

var _ apiv1.IdentityServiceServer = (*identities)(nil)

// ListIdentities implements apiv1.IdentityServiceServer.
func (s *identities) ListIdentities(ctx context.Context, in *apiv1.ListIdentitiesRequest) (*apiv1.ListIdentitiesResponse, error) {
	page, err := s.service.ListIdentities(ctx, requestOf(ctx).Caller, server.IdentityFilter{
		State: server.IdentityState(in.GetState()), PageSize: int(in.GetPageSize()), PageToken: in.GetPageToken(),
	})
	if err != nil {
		return nil, err
	}
	out := &apiv1.ListIdentitiesResponse{NextPageToken: page.NextPageToken}
	for i := range page.Identities {
		out.Identities = append(out.Identities, newIdentity(&page.Identities[i]))
	}
	return out, nil
}

func newIdentity(i *server.Identity) *apiv1.Identity {
	return &apiv1.Identity{
		SpiffeId: i.SPIFFEID, State: string(i.State), Serial: i.Serial, Profile: i.Profile, Issuer: i.Issuer,
		NotBefore: timestamppb.New(i.NotBefore), NotAfter: timestamppb.New(i.NotAfter),
		Renewal: newRenewal(i.Renewal.Start, i.Renewal.End),
	}
}
