package rpc

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

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

// GetTrust implements apiv1.TrustServiceServer.
func (s *trust) GetTrust(ctx context.Context, in *apiv1.GetTrustRequest) (*apiv1.GetTrustResponse, error) {
	wait, err := duration("wait", in.GetWait())
	if err != nil {
		return nil, err
	}
	if wait == nil {
		wait = new(time.Duration)
	}
	known := server.Known{Bundle: in.GetAfter(), Revocations: in.RevocationsAfter, MTLS: in.MtlsVersion}
	update, err := s.service.Trust(ctx, requestOf(ctx).Caller, known, *wait)
	if err != nil {
		return nil, err
	}
	return &apiv1.GetTrustResponse{
		Bundle: newBundle(update.Bundle), Renewal: newRenewal(update.Renewal.Start, update.Renewal.End),
		Revocations: newRevocations(update.Revocations), Mtls: newMTLS(update.MTLS),
	}, nil
}

// WatchTrust implements apiv1.TrustServiceServer.
func (s *trust) WatchTrust(in *apiv1.WatchTrustRequest, stream grpc.ServerStreamingServer[apiv1.WatchTrustResponse]) error {
	ctx := stream.Context()
	known := server.Known{Bundle: in.GetAfter(), Revocations: in.RevocationsAfter, MTLS: in.MtlsVersion}
	return s.service.WatchTrust(ctx, requestOf(ctx).Caller, known, func(u *server.TrustUpdate) error {
		err := stream.Send(&apiv1.WatchTrustResponse{
			Bundle: newBundle(u.Bundle), Renewal: newRenewal(u.Renewal.Start, u.Renewal.End),
			Revocations: newRevocations(u.Revocations), Mtls: newMTLS(u.MTLS),
		})
		if err != nil { // nothing else fails here
			return &server.Error{Kind: server.KindUnavailable, Code: "unavailable", Message: "the caller went away", Err: err}
		}
		return nil
	})
}

// newRenewal is nil for the zero window of who has shown no certificate.
func newRenewal(start, end time.Time) *apiv1.Renewal {
	if start.IsZero() {
		return nil
	}
	return &apiv1.Renewal{Start: timestamppb.New(start), End: timestamppb.New(end)}
}

func newBundle(b *server.Bundle) *apiv1.Bundle {
	return &apiv1.Bundle{
		TrustDomain: b.TrustDomain, Sequence: b.Sequence,
		RefreshHint: int32(b.RefreshHint / time.Second), Roots: b.PEM,
	}
}
