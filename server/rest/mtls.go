package rest

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pando-ca/pando/ca/mtls"
	"github.com/pando-ca/pando/server"
)

func (d *rest) mtlsRoutes() {
	register(d, server.OpListMTLSPolicies, huma.Operation{
		Method: http.MethodGet, Path: "/v1/mtls/policies", Summary: "List mTLS policies, ordered by pattern and name",
		Description: "Requires the role viewer.",
	}, d.listMTLSPolicies)
	register(d, server.OpSetMTLSPolicy, huma.Operation{
		Method: http.MethodPut, Path: "/v1/mtls/policies", Summary: "Make or replace an mTLS policy",
		Description: "Replaces the one with the same pattern and name. Programs that follow are told within a second. Requires the role admin.",
	}, d.setMTLSPolicy)
	register(d, server.OpDeleteMTLSPolicy, huma.Operation{
		Method: http.MethodDelete, Path: "/v1/mtls/policies", Summary: "Delete an mTLS policy",
		Description: "What it decided is decided by the next wider one; without one, it is strict. Requires the role admin.",
	}, d.deleteMTLSPolicy)
	register(d, server.OpListMTLSOverrides, huma.Operation{
		Method: http.MethodGet, Path: "/v1/mtls/overrides", Summary: "List overrides, those that began last first",
		Description: "Requires the role viewer.",
	}, d.listMTLSOverrides)
	register(d, server.OpStartMTLSOverride, huma.Operation{
		Method: http.MethodPost, Path: "/v1/mtls/overrides", DefaultStatus: http.StatusCreated, Summary: "Let plaintext in for a while",
		Description: "Listeners under the pattern that follow policy are permissive, dialers whose code allows plaintext use it. " +
			"It ends by itself, after an hour at most. Requires the role operator.",
	}, d.startMTLSOverride)
	register(d, server.OpEndMTLSOverride, huma.Operation{
		Method: http.MethodDelete, Path: "/v1/mtls/overrides/{id}", Summary: "End an override before it expires",
		Description: "One that is over already stays as it is; the answer says how it ended. Requires the role operator.",
	}, d.endMTLSOverride)
	register(d, server.OpGetEffectiveMTLS, huma.Operation{
		Method: http.MethodGet, Path: "/v1/mtls/effective", Summary: "Tell what holds for one SPIFFE ID, and why",
		Description: "Requires the role viewer.",
	}, d.getEffectiveMTLS)
	register(d, server.OpListMTLSReadiness, huma.Operation{
		Method: http.MethodGet, Path: "/v1/mtls/readiness", Summary: "Judge which listeners could be strict",
		Description: "By what programs report: over the whole of the time no instance accepted plaintext, somebody connected by mutual TLS, " +
			"and no override is in force. Ordered by SPIFFE ID and listener. Requires the role viewer.",
	}, d.listMTLSReadiness)
	register(d, server.OpReportMTLS, huma.Operation{
		Method: http.MethodPost, Path: "/v1/mtls/report", DefaultStatus: http.StatusNoContent, Summary: "Report what listeners have seen",
		Description: "For the holder of the client certificate. It is durable once this is answered.",
	}, d.reportMTLS)
}

type listMTLSPoliciesInput struct {
	PageSize  int    `query:"page_size" doc:"At most so many, 1 to 999; unset: 100."`
	PageToken string `query:"page_token" doc:"next_page_token of the page before."`
}
type mtlsPolicyListOutput struct{ Body *MTLSPolicyList }

func (d *rest) listMTLSPolicies(ctx context.Context, ex *exchange, in *listMTLSPoliciesInput) (*mtlsPolicyListOutput, error) {
	page, err := d.cfg.Service.ListMTLSPolicies(ctx, ex.Caller, in.PageSize, in.PageToken)
	if err != nil {
		return nil, err
	}
	list := &MTLSPolicyList{Policies: make([]MTLSPolicy, len(page.Policies)), NextPageToken: page.NextPageToken}
	for i := range page.Policies {
		list.Policies[i] = newMTLSPolicy(&page.Policies[i])
	}
	return &mtlsPolicyListOutput{list}, nil
}

type mtlsPolicyInput struct{ Body MTLSPolicyRequest }
type mtlsPolicyOutput struct{ Body *MTLSPolicy }

func (d *rest) setMTLSPolicy(ctx context.Context, ex *exchange, in *mtlsPolicyInput) (*mtlsPolicyOutput, error) {
	p, err := d.cfg.Service.SetMTLSPolicy(ctx, ex.Caller, server.MTLSPolicySpec{
		Pattern: in.Body.Pattern, Name: in.Body.Name, Mode: mtls.Mode(in.Body.Mode), PlaintextDial: in.Body.PlaintextDial, Version: in.Body.Version,
	})
	if err != nil {
		return nil, err
	}
	body := newMTLSPolicy(p)
	return &mtlsPolicyOutput{&body}, nil
}

type mtlsPolicyKeyInput struct {
	Pattern string           `query:"pattern" required:"true" doc:"Its pattern."`
	Name    string           `query:"name" doc:"Its name; unset: the policy without one."`
	Version optional[uint64] `query:"version" doc:"Version of the policy that the caller has seen: another one is a conflict. Unset: whatever there is is deleted."`
}

func (d *rest) deleteMTLSPolicy(ctx context.Context, ex *exchange, in *mtlsPolicyKeyInput) (*nothing, error) {
	return &nothing{}, d.cfg.Service.DeleteMTLSPolicy(ctx, ex.Caller, in.Pattern, in.Name, in.Version.pointer())
}

func newMTLSPolicy(p *server.MTLSPolicy) MTLSPolicy {
	return MTLSPolicy{
		Pattern: p.Pattern, Name: p.Name, Mode: p.Mode, PlaintextDial: p.PlaintextDial,
		Version: p.Version, UpdatedAt: p.UpdatedAt.UTC(), UpdatedBy: p.UpdatedBy,
	}
}

type listMTLSOverridesInput struct {
	All bool `query:"all" doc:"Also those that are over, the last hundred in all."`
}
type mtlsOverrideListOutput struct{ Body *MTLSOverrideList }

func (d *rest) listMTLSOverrides(ctx context.Context, ex *exchange, in *listMTLSOverridesInput) (*mtlsOverrideListOutput, error) {
	all, err := d.cfg.Service.ListMTLSOverrides(ctx, ex.Caller, in.All)
	if err != nil {
		return nil, err
	}
	list := &MTLSOverrideList{Overrides: make([]MTLSOverride, len(all))}
	for i := range all {
		list.Overrides[i] = newMTLSOverride(&all[i])
	}
	return &mtlsOverrideListOutput{list}, nil
}

type mtlsOverrideInput struct{ Body MTLSOverrideRequest }
type mtlsOverrideOutput struct{ Body *MTLSOverride }

func (d *rest) startMTLSOverride(ctx context.Context, ex *exchange, in *mtlsOverrideInput) (*mtlsOverrideOutput, error) {
	spec := server.MTLSOverrideSpec{
		Pattern: in.Body.Pattern, Name: in.Body.Name, Side: mtls.Side(in.Body.Side), Reason: in.Body.Reason, DryRun: in.Body.DryRun,
	}
	if in.Body.Duration != nil {
		duration, err := positiveDuration("duration", *in.Body.Duration)
		if err != nil {
			return nil, err
		}
		spec.Duration = duration
	}
	started, err := d.cfg.Service.StartMTLSOverride(ctx, ex.Caller, spec)
	if err != nil {
		return nil, err
	}
	body := newMTLSOverride(&started.MTLSOverride)
	body.DryRun, body.Identities, body.More = started.DryRun, int32(started.Identities), started.More
	return &mtlsOverrideOutput{&body}, nil
}

type mtlsOverrideIDInput struct {
	ID     string `path:"id" doc:"Identifier of the override."`
	Reason string `query:"reason" required:"true" doc:"Why: one line of at most 200 octets."`
}

func (d *rest) endMTLSOverride(ctx context.Context, ex *exchange, in *mtlsOverrideIDInput) (*mtlsOverrideOutput, error) {
	ended, err := d.cfg.Service.EndMTLSOverride(ctx, ex.Caller, in.ID, in.Reason)
	if err != nil {
		return nil, err
	}
	body := newMTLSOverride(ended)
	return &mtlsOverrideOutput{&body}, nil
}

func newMTLSOverride(o *server.MTLSOverride) MTLSOverride {
	return MTLSOverride{
		ID: o.ID, Pattern: o.Pattern, Name: o.Name, Side: o.Side, Reason: o.Reason,
		StartedAt: o.StartedAt.UTC(), StartedBy: o.StartedBy, ExpiresAt: o.ExpiresAt.UTC(),
		EndedAt: moment(o.EndedAt), EndedBy: o.EndedBy, EndReason: o.EndReason,
	}
}

type effectiveMTLSInput struct {
	SPIFFEID string `query:"spiffe_id" required:"true" doc:"SPIFFE ID of a workload."`
}
type effectiveMTLSOutput struct{ Body *EffectiveMTLS }

func (d *rest) getEffectiveMTLS(ctx context.Context, ex *exchange, in *effectiveMTLSInput) (*effectiveMTLSOutput, error) {
	e, err := d.cfg.Service.EffectiveMTLS(ctx, ex.Caller, in.SPIFFEID)
	if err != nil {
		return nil, err
	}
	body := &EffectiveMTLS{
		SPIFFEID: e.ID.String(), Version: e.Version, Rules: effectiveRules(e.Rules), Overruled: effectiveRules(e.Overruled),
		Overrides: newEffectiveOverrides(e.Overrides),
	}
	return &effectiveMTLSOutput{body}, nil
}

func newEffectiveOverrides(all []mtls.Override) []EffectiveMTLSOverride {
	out := make([]EffectiveMTLSOverride, len(all))
	for i, o := range all {
		out[i] = EffectiveMTLSOverride{
			ID: o.ID, Pattern: o.Pattern.String(), Name: o.Name, Side: string(o.Side), ExpiresAt: o.Expires.UTC(), Reason: o.Reason,
		}
	}
	return out
}

func effectiveRules(rules []mtls.Rule) []EffectiveMTLSRule {
	out := make([]EffectiveMTLSRule, len(rules))
	for i, r := range rules {
		out[i] = EffectiveMTLSRule{Pattern: r.Pattern.String(), Name: r.Name, Mode: string(r.Mode), PlaintextDial: r.PlaintextDial}
	}
	return out
}

type listMTLSReadinessInput struct {
	For       string `query:"for" doc:"Over which time up to now, from a minute to seven days; unset: a day." example:"24h"`
	Pattern   string `query:"pattern" doc:"Only of SPIFFE IDs that this pattern matches."`
	PageSize  int    `query:"page_size" doc:"At most so many, 1 to 999; unset: 100."`
	PageToken string `query:"page_token" doc:"next_page_token of the page before."`
}
type mtlsReadinessOutput struct{ Body *MTLSReadinessList }

func (d *rest) listMTLSReadiness(ctx context.Context, ex *exchange, in *listMTLSReadinessInput) (*mtlsReadinessOutput, error) {
	filter := server.MTLSReadinessFilter{Pattern: in.Pattern, PageSize: in.PageSize, PageToken: in.PageToken}
	if in.For != "" {
		var err error
		if filter.For, err = positiveDuration("for", in.For); err != nil {
			return nil, err
		}
	}
	page, err := d.cfg.Service.ListMTLSReadiness(ctx, ex.Caller, filter)
	if err != nil {
		return nil, err
	}
	list := &MTLSReadinessList{Listeners: make([]MTLSReadiness, len(page.Listeners)), NextPageToken: page.NextPageToken}
	for i := range page.Listeners {
		list.Listeners[i] = newMTLSReadiness(&page.Listeners[i])
	}
	return &mtlsReadinessOutput{list}, nil
}

func newMTLSReadiness(r *server.MTLSReadiness) MTLSReadiness {
	return MTLSReadiness{
		SPIFFEID: r.SPIFFEID, Listener: r.Listener, Ready: r.Ready(), Reasons: texts(r.Obstacles), Instances: int32(r.Instances),
		Modes: texts(r.Modes), ObservedSince: moment(r.ObservedSince), LastMTLS: moment(r.LastMTLS), LastPlaintext: moment(r.LastPlaintext),
	}
}

// texts are words of a closed set as JSON has them.
func texts[T ~string](words []T) []string {
	var out []string
	for _, w := range words {
		out = append(out, string(w))
	}
	return out
}

type mtlsReportInput struct{ Body MTLSReportRequest }

func (d *rest) reportMTLS(ctx context.Context, ex *exchange, in *mtlsReportInput) (*nothing, error) {
	report := server.MTLSReport{Instance: in.Body.Instance}
	for _, l := range in.Body.Listeners {
		report.Listeners = append(report.Listeners, server.MTLSListener{
			Name: l.Name, Mode: mtls.Mode(l.Mode), Source: mtls.Source(l.From), ObservedSince: l.ObservedSince,
			LastMTLS: orZero(l.LastMTLS), LastPlaintext: orZero(l.LastPlaintext),
		})
	}
	return &nothing{}, d.cfg.Service.ReportMTLS(ctx, ex.Caller, report)
}

// newMTLS is nil when the caller did not ask.
func newMTLS(e *mtls.Effective) *MTLS {
	if e == nil {
		return nil
	}
	out := &MTLS{Version: e.Version, Rules: make([]MTLSRule, len(e.Rules)), Overrides: make([]MTLSActiveOverride, len(e.Overrides))}
	for i, r := range e.Rules {
		out.Rules[i] = MTLSRule{Name: r.Name, Mode: string(r.Mode), PlaintextDial: r.PlaintextDial}
	}
	for i, o := range e.Overrides {
		out.Overrides[i] = MTLSActiveOverride{ID: o.ID, Name: o.Name, Side: string(o.Side), ExpiresAt: o.Expires.UTC(), Reason: o.Reason}
	}
	return out
}
