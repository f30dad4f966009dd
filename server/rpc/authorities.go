package rpc

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/pando-ca/pando/api/v1"
	"github.com/pando-ca/pando/server"
)

// authorities is pando.v1.AuthorityService.
type authorities struct {
	apiv1.UnimplementedAuthorityServiceServer
	service *server.Service
}

var _ apiv1.AuthorityServiceServer = (*authorities)(nil)

// GetAuthority implements apiv1.AuthorityServiceServer.
func (s *authorities) GetAuthority(ctx context.Context, in *apiv1.GetAuthorityRequest) (*apiv1.Authority, error) {
	authority, err := s.service.Authority(ctx, requestOf(ctx).Caller, in.GetId())
	if err != nil {
		return nil, err
	}
	return newAuthority(authority), nil
}

// ListAuthorities implements apiv1.AuthorityServiceServer.
func (s *authorities) ListAuthorities(ctx context.Context, _ *apiv1.ListAuthoritiesRequest) (*apiv1.ListAuthoritiesResponse, error) {
	all, err := s.service.Authorities(ctx, requestOf(ctx).Caller)
	if err != nil {
		return nil, err
	}
	out := &apiv1.ListAuthoritiesResponse{}
	for i := range all {
		out.Authorities = append(out.Authorities, newAuthority(&all[i]))
	}
	return out, nil
}

// RequestAuthority implements apiv1.AuthorityServiceServer.
func (s *authorities) RequestAuthority(ctx context.Context, in *apiv1.RequestAuthorityRequest) (*apiv1.RequestAuthorityResponse, error) {
	request, err := s.service.RequestAuthority(ctx, requestOf(ctx).Caller, in.GetRenew())
	if err != nil {
		return nil, err
	}
	return &apiv1.RequestAuthorityResponse{
		Role: string(request.Role), Csr: request.PEM(), CreatedAt: timestamppb.New(request.CreatedAt), CreatedBy: request.CreatedBy,
	}, nil
}

// ImportAuthority implements apiv1.AuthorityServiceServer.
func (s *authorities) ImportAuthority(ctx context.Context, in *apiv1.ImportAuthorityRequest) (*apiv1.ImportAuthorityResponse, error) {
	added, err := s.service.ImportAuthority(ctx, requestOf(ctx).Caller, in.GetChain())
	if err != nil {
		return nil, err
	}
	out := &apiv1.ImportAuthorityResponse{}
	for i := range added {
		out.Authorities = append(out.Authorities, newAuthority(&added[i]))
	}
	return out, nil
}

func newAuthority(a *server.AuthorityStatus) *apiv1.Authority {
	return &apiv1.Authority{
		Id: a.ID, Role: string(a.Role), State: string(a.State), ParentId: a.ParentID,
		NotBefore: timestamppb.New(a.NotBefore), NotAfter: timestamppb.New(a.NotAfter), StateSince: moment(a.StateSince),
		Fingerprint: a.Fingerprint(), Certificate: a.PEM(), Sequence: a.Sequence,
		Waiting: a.Waiting, OpensAt: moment(a.OpensAt), Live: int32(a.Live), Followers: int32(a.Followers), Behind: int32(a.Behind),
		CrlThisUpdate: moment(a.CRLThisUpdate), CrlNextUpdate: moment(a.CRLNextUpdate), CrlEntries: int32(a.CRLEntries),
	}
}

// moment is nil for the zero time, which stands for one that is not known.
func moment(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
