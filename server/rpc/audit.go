package rpc

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/pando-ca/pando/api/v1"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/server/door"
)

// audit is pando.v1.AuditService.
type audit struct {
	apiv1.UnimplementedAuditServiceServer
	service *server.Service
}

var _ apiv1.AuditServiceServer = (*audit)(nil)

// ListAudit implements apiv1.AuditServiceServer.
func (s *audit) ListAudit(ctx context.Context, in *apiv1.ListAuditRequest) (*apiv1.ListAuditResponse, error) {
	for name, moment := range map[string]*timestamppb.Timestamp{"since": in.GetSince(), "until": in.GetUntil()} {
		if err := moment.CheckValid(); moment != nil && err != nil {
			return nil, door.Invalid(name + ": " + err.Error())
		}
	}
	page, err := s.service.ListAudit(ctx, requestOf(ctx).Caller, server.AuditFilter{
		Actor: in.GetActor(), Action: in.GetAction(), Target: in.GetTarget(), Since: orZero(in.GetSince()), Until: orZero(in.GetUntil()),
		Order: in.GetOrder(), PageSize: int(in.GetPageSize()), PageToken: in.GetPageToken(),
	})
	if err != nil {
		return nil, err
	}
	return &apiv1.ListAuditResponse{Rows: newAuditRows(page.Rows), NextPageToken: page.NextPageToken}, nil
}

func newAuditRows(all []server.AuditRow) []*apiv1.AuditRow {
	var rows []*apiv1.AuditRow
	for _, a := range all {
		rows = append(rows, &apiv1.AuditRow{
			Seq: a.Seq, At: timestamppb.New(a.At), Actor: a.Actor, Action: a.Action, Target: a.Target, Detail: a.Detail, Link: a.Link, Hash: a.Hash,
		})
	}
	return rows
}
