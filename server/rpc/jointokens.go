package rpc

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/pando-ca/pando/api/v1"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/server/door"
)

// joinTokens is pando.v1.JoinTokenService.
type joinTokens struct {
	apiv1.UnimplementedJoinTokenServiceServer
	service *server.Service
}

var _ apiv1.JoinTokenServiceServer = (*joinTokens)(nil)

// CreateJoinToken implements apiv1.JoinTokenServiceServer.
func (s *joinTokens) CreateJoinToken(ctx context.Context, in *apiv1.CreateJoinTokenRequest) (*apiv1.JoinToken, error) {
	asked, err := duration("ttl", in.GetTtl())
	if err != nil {
		return nil, err
	}
	var ttl time.Duration
	if asked != nil {
		if ttl = *asked; ttl <= 0 {
			return nil, door.Invalid("ttl: not positive")
		}
	}
	token, err := s.service.CreateJoinToken(ctx, requestOf(ctx).Caller, in.GetEntryId(), ttl)
	if err != nil {
		return nil, err
	}
	return &apiv1.JoinToken{
		Id: token.ID, EntryId: token.EntryID, Token: token.Secret, ExpiresAt: timestamppb.New(token.ExpiresAt),
	}, nil
}
