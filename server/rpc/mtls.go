package rpc

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/pando-ca/pando/api/v1"
	"github.com/pando-ca/pando/ca/mtls"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/server/door"
)

// mtlsModes is pando.v1.MTLSService.
type mtlsModes struct {
	apiv1.UnimplementedMTLSServiceServer
	service *server.Service
}

var _ apiv1.MTLSServiceServer = (*mtlsModes)(nil)

// ListMTLSPolicies implements apiv1.MTLSServiceServer.
func (s *mtlsModes) ListMTLSPolicies(ctx context.Context, in *apiv1.ListMTLSPoliciesRequest) (*apiv1.ListMTLSPoliciesResponse, error) {
	page, err := s.service.ListMTLSPolicies(ctx, requestOf(ctx).Caller, int(in.GetPageSize()), in.GetPageToken())
	if err != nil {
		return nil, err
	}
	out := &apiv1.ListMTLSPoliciesResponse{NextPageToken: page.NextPageToken}
	for i := range page.Policies {
		out.Policies = append(out.Policies, newMTLSPolicy(&page.Policies[i]))
	}
	return out, nil
}

// SetMTLSPolicy implements apiv1.MTLSServiceServer.
func (s *mtlsModes) SetMTLSPolicy(ctx context.Context, in *apiv1.SetMTLSPolicyRequest) (*apiv1.MTLSPolicy, error) {
	p, err := s.service.SetMTLSPolicy(ctx, requestOf(ctx).Caller, server.MTLSPolicySpec{
		Pattern: in.GetPattern(), Name: in.GetName(), Mode: mtls.Mode(in.GetMode()), PlaintextDial: in.GetPlaintextDial(), Version: in.Version,
	})
	if err != nil {
		return nil, err
	}
	return newMTLSPolicy(p), nil
}

// DeleteMTLSPolicy implements apiv1.MTLSServiceServer.
func (s *mtlsModes) DeleteMTLSPolicy(ctx context.Context, in *apiv1.DeleteMTLSPolicyRequest) (*emptypb.Empty, error) {
	if err := s.service.DeleteMTLSPolicy(ctx, requestOf(ctx).Caller, in.GetPattern(), in.GetName(), in.Version); err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, nil
}

func newMTLSPolicy(p *server.MTLSPolicy) *apiv1.MTLSPolicy {
	return &apiv1.MTLSPolicy{
		Pattern: p.Pattern, Name: p.Name, Mode: p.Mode, PlaintextDial: p.PlaintextDial,
		Version: p.Version, UpdatedAt: timestamppb.New(p.UpdatedAt), UpdatedBy: p.UpdatedBy,
	}
}

// ListMTLSOverrides implements apiv1.MTLSServiceServer.
func (s *mtlsModes) ListMTLSOverrides(ctx context.Context, in *apiv1.ListMTLSOverridesRequest) (*apiv1.ListMTLSOverridesResponse, error) {
	all, err := s.service.ListMTLSOverrides(ctx, requestOf(ctx).Caller, in.GetAll())
	if err != nil {
		return nil, err
	}
	out := &apiv1.ListMTLSOverridesResponse{}
	for i := range all {
		out.Overrides = append(out.Overrides, newMTLSOverride(&all[i]))
	}
	return out, nil
}

// StartMTLSOverride implements apiv1.MTLSServiceServer.
func (s *mtlsModes) StartMTLSOverride(ctx context.Context, in *apiv1.StartMTLSOverrideRequest) (*apiv1.MTLSOverride, error) {
	lasts, err := positiveDuration("duration", in.GetDuration())
	if err != nil {
		return nil, err
	}
	started, err := s.service.StartMTLSOverride(ctx, requestOf(ctx).Caller, server.MTLSOverrideSpec{
		Pattern: in.GetPattern(), Name: in.GetName(), Side: mtls.Side(in.GetSide()), Duration: lasts,
		Reason: in.GetReason(), DryRun: in.GetDryRun(),
	})
	if err != nil {
		return nil, err
	}
	out := newMTLSOverride(&started.MTLSOverride)
	out.DryRun, out.Identities, out.More = started.DryRun, int32(started.Identities), started.More
	return out, nil
}

// EndMTLSOverride implements apiv1.MTLSServiceServer.
func (s *mtlsModes) EndMTLSOverride(ctx context.Context, in *apiv1.EndMTLSOverrideRequest) (*apiv1.MTLSOverride, error) {
	ended, err := s.service.EndMTLSOverride(ctx, requestOf(ctx).Caller, in.GetId(), in.GetReason())
	if err != nil {
		return nil, err
	}
	return newMTLSOverride(ended), nil
}

func newMTLSOverride(o *server.MTLSOverride) *apiv1.MTLSOverride {
	return &apiv1.MTLSOverride{
		Id: o.ID, Pattern: o.Pattern, Name: o.Name, Side: o.Side, Reason: o.Reason,
		StartedAt: timestamppb.New(o.StartedAt), StartedBy: o.StartedBy, ExpiresAt: timestamppb.New(o.ExpiresAt),
		EndedAt: moment(o.EndedAt), EndedBy: o.EndedBy, EndReason: o.EndReason,
	}
}

// GetEffectiveMTLS implements apiv1.MTLSServiceServer.
func (s *mtlsModes) GetEffectiveMTLS(ctx context.Context, in *apiv1.GetEffectiveMTLSRequest) (*apiv1.EffectiveMTLS, error) {
	e, err := s.service.EffectiveMTLS(ctx, requestOf(ctx).Caller, in.GetSpiffeId())
	if err != nil {
		return nil, err
	}
	out := &apiv1.EffectiveMTLS{
		SpiffeId: e.ID.String(), Version: e.Version, Rules: effectiveRules(e.Rules), Overruled: effectiveRules(e.Overruled),
	}
	out.Overrides = newEffectiveOverrides(e.Overrides)
	return out, nil
}

func newEffectiveOverrides(all []mtls.Override) []*apiv1.EffectiveMTLSOverride {
	var out []*apiv1.EffectiveMTLSOverride
	for _, o := range all {
		out = append(out, &apiv1.EffectiveMTLSOverride{
			Id: o.ID, Pattern: o.Pattern.String(), Name: o.Name, Side: string(o.Side), ExpiresAt: timestamppb.New(o.Expires), Reason: o.Reason,
		})
	}
	return out
}

func effectiveRules(rules []mtls.Rule) []*apiv1.EffectiveMTLSRule {
	var out []*apiv1.EffectiveMTLSRule
	for _, r := range rules {
		out = append(out, &apiv1.EffectiveMTLSRule{
			Pattern: r.Pattern.String(), Name: r.Name, Mode: string(r.Mode), PlaintextDial: r.PlaintextDial,
		})
	}
	return out
}

// ListMTLSReadiness implements apiv1.MTLSServiceServer.
func (s *mtlsModes) ListMTLSReadiness(ctx context.Context, in *apiv1.ListMTLSReadinessRequest) (*apiv1.ListMTLSReadinessResponse, error) {
	over, err := positiveDuration("for", in.GetFor())
	if err != nil {
		return nil, err
	}
	page, err := s.service.ListMTLSReadiness(ctx, requestOf(ctx).Caller, server.MTLSReadinessFilter{
		For: over, Pattern: in.GetPattern(), PageSize: int(in.GetPageSize()), PageToken: in.GetPageToken(),
	})
	if err != nil {
		return nil, err
	}
	out := &apiv1.ListMTLSReadinessResponse{NextPageToken: page.NextPageToken}
	for i := range page.Listeners {
		r := &page.Listeners[i]
		out.Listeners = append(out.Listeners, &apiv1.MTLSReadiness{
			SpiffeId: r.SPIFFEID, Listener: r.Listener, Ready: r.Ready(), Reasons: texts(r.Obstacles), Instances: int32(r.Instances), Modes: texts(r.Modes),
			ObservedSince: moment(r.ObservedSince), LastMtls: moment(r.LastMTLS), LastPlaintext: moment(r.LastPlaintext),
		})
	}
	return out, nil
}

// texts are words of a closed set as messages have them.
func texts[T ~string](words []T) []string {
	var out []string
	for _, w := range words {
		out = append(out, string(w))
	}
	return out
}

// ReportMTLS implements apiv1.MTLSServiceServer.
func (s *mtlsModes) ReportMTLS(ctx context.Context, in *apiv1.ReportMTLSRequest) (*emptypb.Empty, error) {
	report := server.MTLSReport{Instance: in.GetInstance()}
	for _, l := range in.GetListeners() {
		one := server.MTLSListener{Name: l.GetName(), Mode: mtls.Mode(l.GetMode()), Source: mtls.Source(l.GetFrom())}
		var err error
		if one.ObservedSince, err = timestamp("observed_since", l.GetObservedSince()); err != nil {
			return nil, err
		}
		if one.LastMTLS, err = timestamp("last_mtls", l.GetLastMtls()); err != nil {
			return nil, err
		}
		if one.LastPlaintext, err = timestamp("last_plaintext", l.GetLastPlaintext()); err != nil {
			return nil, err
		}
		report.Listeners = append(report.Listeners, one)
	}
	if err := s.service.ReportMTLS(ctx, requestOf(ctx).Caller, report); err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, nil
}

// newMTLS is nil when the caller did not ask.
func newMTLS(e *mtls.Effective) *apiv1.MTLS {
	if e == nil {
		return nil
	}
	out := &apiv1.MTLS{Version: e.Version}
	for _, r := range e.Rules {
		out.Rules = append(out.Rules, &apiv1.MTLSRule{Name: r.Name, Mode: string(r.Mode), PlaintextDial: r.PlaintextDial})
	}
	for _, o := range e.Overrides {
		out.Overrides = append(out.Overrides, &apiv1.MTLSActiveOverride{
			Id: o.ID, Name: o.Name, Side: string(o.Side), ExpiresAt: timestamppb.New(o.Expires), Reason: o.Reason,
		})
	}
	return out
}

// positiveDuration is zero when it is unset.
func positiveDuration(field string, d *durationpb.Duration) (time.Duration, error) {
	asked, err := duration(field, d)
	switch {
	case err != nil || asked == nil:
		return 0, err
	case *asked <= 0:
		return 0, door.Invalid(field + ": not positive")
	}
	return *asked, nil
}

// timestamp is zero when it is unset.
func timestamp(field string, t *timestamppb.Timestamp) (time.Time, error) {
	if t == nil {
		return time.Time{}, nil
	}
	if err := t.CheckValid(); err != nil {
		return time.Time{}, door.Invalid(field + ": " + err.Error())
	}
	return t.AsTime(), nil
}
