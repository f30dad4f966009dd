package rest

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pando-ca/pando/server"
)

func (d *rest) identityRoutes() {
	register(d, server.OpListIdentities, huma.Operation{
		Method: http.MethodGet, Path: "/v1/identities", Summary: "List identities and how they are, ordered by SPIFFE ID",
		Description: "An identity is a SPIFFE ID; its newest certificate says how it is. With a state, a page may hold fewer than were " +
			"asked for, or none, and still not be the last. Requires the role viewer.",
	}, d.listIdentities)
}

type listIdentitiesInput struct {
	State     string `query:"state" enum:"live,overdue,expired,revoked" doc:"Only those in this state."`
	PageSize  int    `query:"page_size" doc:"At most so many, 1 to 999; unset: 100."`
	PageToken string `query:"page_token" doc:"next_page_token of the page before."`
}
type identityListOutput struct{ Body *IdentityList }

func (d *rest) listIdentities(ctx context.Context, ex *exchange, in *listIdentitiesInput) (*identityListOutput, error) {
	page, err := d.cfg.Service.ListIdentities(ctx, ex.Caller, server.IdentityFilter{
		State: server.IdentityState(in.State), PageSize: in.PageSize, PageToken: in.PageToken,
	})
	if err != nil {
		return nil, err
	}
	list := &IdentityList{Identities: make([]Identity, len(page.Identities)), NextPageToken: page.NextPageToken}
	for i := range page.Identities {
		list.Identities[i] = newIdentity(&page.Identities[i])
	}
	return &identityListOutput{list}, nil
}

func newIdentity(i *server.Identity) Identity {
	return Identity{
		SPIFFEID: i.SPIFFEID, State: string(i.State), Serial: i.Serial, Profile: i.Profile, Issuer: i.Issuer,
		NotBefore: i.NotBefore.UTC(), NotAfter: i.NotAfter.UTC(), Renewal: newRenewal(i.Renewal.Start, i.Renewal.End),
	}
}
