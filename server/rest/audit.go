package rest

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pando-ca/pando/server"
)

func (d *rest) auditRoutes() {
	register(d, server.OpListAudit, huma.Operation{
		Method: http.MethodGet, Path: "/v1/audit", Summary: "List who has changed what, the newest first",
		Description: "With link and hash, which verify that nothing was changed afterwards. Requires the role viewer.",
	}, d.listAudit)
}

type listAuditInput struct {
	Actor     string    `query:"actor" doc:"Only what this one has done."`
	Action    string    `query:"action" doc:"Only this action, as entry.create."`
	Target    string    `query:"target" doc:"Only what was done to this one: an identifier."`
	Since     time.Time `query:"since" doc:"Only what was done at this moment or later (RFC 3339)."`
	Until     time.Time `query:"until" doc:"Only what was done before this moment (RFC 3339)."`
	Order     string    `query:"order" enum:"newest,oldest" doc:"Which comes first; unset: newest."`
	PageSize  int       `query:"page_size" doc:"At most so many, 1 to 999; unset: 100."`
	PageToken string    `query:"page_token" doc:"next_page_token of the page before."`
}
type auditListOutput struct{ Body *AuditList }

func (d *rest) listAudit(ctx context.Context, ex *exchange, in *listAuditInput) (*auditListOutput, error) {
	page, err := d.cfg.Service.ListAudit(ctx, ex.Caller, server.AuditFilter{
		Actor: in.Actor, Action: in.Action, Target: in.Target, Since: in.Since, Until: in.Until,
		Order: in.Order, PageSize: in.PageSize, PageToken: in.PageToken,
	})
	if err != nil {
		return nil, err
	}
	return &auditListOutput{&AuditList{Rows: newAuditRows(page.Rows), NextPageToken: page.NextPageToken}}, nil
}

func newAuditRows(all []server.AuditRow) []AuditRow {
	rows := make([]AuditRow, len(all))
	for i, a := range all {
		rows[i] = AuditRow{
			Seq: a.Seq, At: a.At.UTC(), Actor: a.Actor, Action: a.Action, Target: a.Target, Detail: a.Detail, Link: a.Link, Hash: a.Hash,
		}
	}
	return rows
}
