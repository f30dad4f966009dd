package rest

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pando-ca/pando/server"
)

func (d *rest) authorityRoutes() {
	register(d, server.OpListAuthorities, huma.Operation{
		Method: http.MethodGet, Path: "/v1/authorities", Summary: "List the authorities and what their rotation waits for",
		Description: "Requires the role viewer.",
	}, d.listAuthorities)
	register(d, server.OpGetAuthority, huma.Operation{
		Method: http.MethodGet, Path: "/v1/authorities/{id}", Summary: "Look one authority up",
		Description: "Requires the role viewer.",
	}, d.getAuthority)
}

func (d *rest) importRoutes() {
	register(d, server.OpRequestAuthority, huma.Operation{
		Method: http.MethodPost, Path: "/v1/authorities/csr", Summary: "Request an intermediate from a root that is kept elsewhere",
		Description: "Makes a key that stays with Pando, and the request for it; or returns the request that waits already. Requires the role admin.",
	}, d.requestAuthority)
	register(d, server.OpImportAuthority, huma.Operation{
		Method: http.MethodPost, Path: "/v1/authorities/import", Summary: "Adopt an intermediate that was signed for the request",
		Description: "Under the active root it issues at once. With a root that is not known yet both are prepared, and activated once the root has spread. It is answered with what was added. Requires the role admin.",
	}, d.importAuthority)
}

type authorityCSRInput struct{ Body AuthorityCSRRequest }
type authorityCSROutput struct{ Body *AuthorityCSR }

func (d *rest) requestAuthority(ctx context.Context, ex *exchange, in *authorityCSRInput) (*authorityCSROutput, error) {
	request, err := d.cfg.Service.RequestAuthority(ctx, ex.Caller, in.Body.Renew)
	if err != nil {
		return nil, err
	}
	return &authorityCSROutput{&AuthorityCSR{
		Role: string(request.Role), CSR: request.PEM(), CreatedAt: request.CreatedAt.UTC(), CreatedBy: request.CreatedBy,
	}}, nil
}

type importAuthorityInput struct{ Body ImportAuthorityRequest }

func (d *rest) importAuthority(ctx context.Context, ex *exchange, in *importAuthorityInput) (*authorityListOutput, error) {
	added, err := d.cfg.Service.ImportAuthority(ctx, ex.Caller, in.Body.Chain)
	if err != nil {
		return nil, err
	}
	return &authorityListOutput{newAuthorityList(added)}, nil
}

type authorityListOutput struct{ Body *AuthorityList }

func (d *rest) listAuthorities(ctx context.Context, ex *exchange, _ *struct{}) (*authorityListOutput, error) {
	all, err := d.cfg.Service.Authorities(ctx, ex.Caller)
	if err != nil {
		return nil, err
	}
	return &authorityListOutput{newAuthorityList(all)}, nil
}

func newAuthorityList(all []server.AuthorityStatus) *AuthorityList {
	list := &AuthorityList{Authorities: make([]Authority, len(all))}
	for i := range all {
		list.Authorities[i] = newAuthority(&all[i])
	}
	return list
}

type authorityIDInput struct {
	ID string `path:"id" doc:"Identifier of the authority."`
}
type authorityOutput struct{ Body *Authority }

func (d *rest) getAuthority(ctx context.Context, ex *exchange, in *authorityIDInput) (*authorityOutput, error) {
	authority, err := d.cfg.Service.Authority(ctx, ex.Caller, in.ID)
	if err != nil {
		return nil, err
	}
	body := newAuthority(authority)
	return &authorityOutput{&body}, nil
}

func newAuthority(a *server.AuthorityStatus) Authority {
	return Authority{
		ID: a.ID, Role: string(a.Role), State: string(a.State), ParentID: a.ParentID,
		NotBefore: a.NotBefore.UTC(), NotAfter: a.NotAfter.UTC(), StateSince: moment(a.StateSince),
		Fingerprint: a.Fingerprint(), Certificate: a.PEM(), Sequence: a.Sequence,
		Waiting: a.Waiting, OpensAt: moment(a.OpensAt), Live: int32(a.Live), Followers: int32(a.Followers), Behind: int32(a.Behind),
		CRLThisUpdate: moment(a.CRLThisUpdate), CRLNextUpdate: moment(a.CRLNextUpdate), CRLEntries: int32(a.CRLEntries),
	}
}

// moment is nil for the zero time, which stands for one that is not known.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
