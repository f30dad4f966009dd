package rpc

import (
	"context"

	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/pando-ca/pando/api/v1"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/server"
)

// entries is pando.v1.EntryService.
type entries struct {
	apiv1.UnimplementedEntryServiceServer
	service *server.Service
}

var _ apiv1.EntryServiceServer = (*entries)(nil)

// CreateEntry implements apiv1.EntryServiceServer.
func (s *entries) CreateEntry(ctx context.Context, in *apiv1.CreateEntryRequest) (*apiv1.Entry, error) {
	entry, err := s.service.CreateEntry(ctx, requestOf(ctx).Caller, policy.EntrySpec{
		SPIFFEID: in.GetSpiffeId(), DNSNames: in.GetDnsNames(), Profile: in.GetProfile(),
		Method: policy.Method(in.GetMethod()), Issuer: in.GetIssuer(), Claims: in.GetClaims(), PreRenew: in.GetPreRenew(),
		Watch: in.GetWatch(),
	})
	if err != nil {
		return nil, err
	}
	return newEntry(entry), nil
}

// GetEntry implements apiv1.EntryServiceServer.
func (s *entries) GetEntry(ctx context.Context, in *apiv1.GetEntryRequest) (*apiv1.Entry, error) {
	entry, err := s.service.GetEntry(ctx, requestOf(ctx).Caller, in.GetId())
	if err != nil {
		return nil, err
	}
	return newEntry(entry), nil
}

// ListEntries implements apiv1.EntryServiceServer.
func (s *entries) ListEntries(ctx context.Context, in *apiv1.ListEntriesRequest) (*apiv1.ListEntriesResponse, error) {
	page, err := s.service.ListEntries(ctx, requestOf(ctx).Caller, server.EntryFilter{
		SPIFFEID: in.GetSpiffeId(), Method: policy.Method(in.GetMethod()),
		PageSize: int(in.GetPageSize()), PageToken: in.GetPageToken(),
	})
	if err != nil {
		return nil, err
	}
	out := &apiv1.ListEntriesResponse{NextPageToken: page.NextPageToken}
	for i := range page.Entries {
		out.Entries = append(out.Entries, newEntry(&page.Entries[i]))
	}
	return out, nil
}

// DeleteEntry implements apiv1.EntryServiceServer.
func (s *entries) DeleteEntry(ctx context.Context, in *apiv1.DeleteEntryRequest) (*emptypb.Empty, error) {
	if err := s.service.DeleteEntry(ctx, requestOf(ctx).Caller, in.GetId()); err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, nil
}

func newEntry(e *server.Entry) *apiv1.Entry {
	return &apiv1.Entry{
		Id: e.ID, SpiffeId: e.SPIFFEID, DnsNames: e.DNSNames, Profile: e.Profile, Method: string(e.Method),
		Issuer: e.Issuer, Claims: e.Claims, CreatedAt: timestamppb.New(e.CreatedAt), CreatedBy: e.CreatedBy, PreRenew: e.PreRenew,
		Watch: e.Watch,
	}
}
