package rest

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/server"
)

func (d *rest) entryRoutes() {
	register(d, server.OpCreateEntry, huma.Operation{
		Method: http.MethodPost, Path: "/v1/entries", DefaultStatus: http.StatusCreated, Summary: "Make an entry",
		Description: "Requires the role operator, and admin for an identity under /pando/.",
	}, d.createEntry)
	register(d, server.OpListEntries, huma.Operation{
		Method: http.MethodGet, Path: "/v1/entries", Summary: "List entries, ordered by ID",
		Description: "Requires the role viewer.",
	}, d.listEntries)
	register(d, server.OpGetEntry, huma.Operation{
		Method: http.MethodGet, Path: "/v1/entries/{id}", Summary: "Look one entry up",
		Description: "Requires the role viewer.",
	}, d.getEntry)
	register(d, server.OpDeleteEntry, huma.Operation{
		Method: http.MethodDelete, Path: "/v1/entries/{id}", Summary: "Delete an entry and its join tokens",
		Description: "Certificates that were issued under it live until they expire and cannot be renewed. " +
			"Requires the role operator, and admin for an identity under /pando/.",
	}, d.deleteEntry)
}

type entryInput struct{ Body EntryRequest }
type entryOutput struct{ Body *Entry }

func (d *rest) createEntry(ctx context.Context, ex *exchange, in *entryInput) (*entryOutput, error) {
	entry, err := d.cfg.Service.CreateEntry(ctx, ex.Caller, policy.EntrySpec{
		SPIFFEID: in.Body.SPIFFEID, DNSNames: in.Body.DNSNames, Profile: in.Body.Profile,
		Method: policy.Method(in.Body.Method), Issuer: in.Body.Issuer, Claims: in.Body.Claims, PreRenew: in.Body.PreRenew,
		Watch: in.Body.Watch,
	})
	if err != nil {
		return nil, err
	}
	body := newEntry(entry)
	return &entryOutput{&body}, nil
}

type entryIDInput struct {
	ID string `path:"id" doc:"Identifier of the entry."`
}

func (d *rest) getEntry(ctx context.Context, ex *exchange, in *entryIDInput) (*entryOutput, error) {
	entry, err := d.cfg.Service.GetEntry(ctx, ex.Caller, in.ID)
	if err != nil {
		return nil, err
	}
	body := newEntry(entry)
	return &entryOutput{&body}, nil
}

type listEntriesInput struct {
	SPIFFEID  string `query:"spiffe_id" doc:"Only those with this SPIFFE ID, as it was written."`
	Method    string `query:"method" enum:"join_token,jwt" doc:"Only those that match this credential."`
	PageSize  int    `query:"page_size" doc:"At most so many, 1 to 999; unset: 100."`
	PageToken string `query:"page_token" doc:"next_page_token of the page before."`
}
type entryListOutput struct{ Body *EntryList }

func (d *rest) listEntries(ctx context.Context, ex *exchange, in *listEntriesInput) (*entryListOutput, error) {
	page, err := d.cfg.Service.ListEntries(ctx, ex.Caller, server.EntryFilter{
		SPIFFEID: in.SPIFFEID, Method: policy.Method(in.Method), PageSize: in.PageSize, PageToken: in.PageToken,
	})
	if err != nil {
		return nil, err
	}
	list := &EntryList{Entries: make([]Entry, len(page.Entries)), NextPageToken: page.NextPageToken}
	for i := range page.Entries {
		list.Entries[i] = newEntry(&page.Entries[i])
	}
	return &entryListOutput{list}, nil
}

type nothing struct{}

func (d *rest) deleteEntry(ctx context.Context, ex *exchange, in *entryIDInput) (*nothing, error) {
	return &nothing{}, d.cfg.Service.DeleteEntry(ctx, ex.Caller, in.ID)
}

func newEntry(e *server.Entry) Entry {
	return Entry{
		ID: e.ID, SPIFFEID: e.SPIFFEID, DNSNames: e.DNSNames, Profile: e.Profile, Method: string(e.Method),
		Issuer: e.Issuer, Claims: e.Claims, CreatedAt: e.CreatedAt.UTC(), CreatedBy: e.CreatedBy, PreRenew: e.PreRenew,
		Watch: e.Watch,
	}
}
