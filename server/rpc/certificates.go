package rpc

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/pando-ca/pando/api/v1"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/server/door"
)

// certificates is pando.v1.CertificateService.
type certificates struct {
	apiv1.UnimplementedCertificateServiceServer
	service *server.Service
}

var _ apiv1.CertificateServiceServer = (*certificates)(nil)

// SignCertificate implements apiv1.CertificateServiceServer.
func (s *certificates) SignCertificate(ctx context.Context, in *apiv1.SignCertificateRequest) (*apiv1.SignCertificateResponse, error) {
	r := requestOf(ctx)
	request, err := wanted(in).Request(r.ID)
	if err != nil {
		return nil, err
	}
	if s.service.HasProfile(request.Want.Profile) {
		r.Profile = request.Want.Profile // also of a request that fails later
	}
	issued, err := s.service.Issue(ctx, r.Caller, request)
	if err != nil {
		return nil, err
	}
	r.Issued(issued.Serial, issued.Profile)
	return newSignResponse(issued, newBundle(issued.Bundle)), nil
}

// SignCertificates implements apiv1.CertificateServiceServer.
func (s *certificates) SignCertificates(ctx context.Context, in *apiv1.SignCertificatesRequest) (*apiv1.SignCertificatesResponse, error) {
	all := make([]door.Wanted, len(in.GetRequests()))
	for i, one := range in.GetRequests() {
		all[i] = wanted(one)
	}
	results, err := door.IssueBatch(ctx, s.service, requestOf(ctx), all)
	if err != nil {
		return nil, err
	}
	out := &apiv1.SignCertificatesResponse{
		Results: make([]*apiv1.SignCertificatesResponse_Result, len(results)),
		Bundle:  newBundle(s.service.Bundle()),
	}
	for i, result := range results {
		out.Results[i] = newResult(result)
	}
	return out, nil
}

// RenewCertificate implements apiv1.CertificateServiceServer.
func (s *certificates) RenewCertificate(ctx context.Context, in *apiv1.RenewCertificateRequest) (*apiv1.SignCertificateResponse, error) {
	r := requestOf(ctx)
	request, err := door.Wanted{CSR: in.GetCsr(), CSRDER: in.GetCsrDer()}.Request(r.ID)
	if err != nil {
		return nil, err
	}
	issued, err := s.service.Renew(ctx, r.Caller, request)
	if err != nil {
		return nil, err
	}
	r.Issued(issued.Serial, issued.Profile)
	return newSignResponse(issued, newBundle(issued.Bundle)), nil
}

// GetNewestCertificate implements apiv1.CertificateServiceServer.
func (s *certificates) GetNewestCertificate(ctx context.Context, _ *apiv1.GetNewestCertificateRequest) (*apiv1.SignCertificateResponse, error) {
	r := requestOf(ctx)
	newest, err := s.service.Newest(ctx, r.Caller)
	if err != nil {
		return nil, err
	}
	r.Issued(newest.Serial, newest.Profile)
	return newSignResponse(newest, newBundle(newest.Bundle)), nil
}

// GetRenewalInfo implements apiv1.CertificateServiceServer.
func (s *certificates) GetRenewalInfo(ctx context.Context, in *apiv1.GetRenewalInfoRequest) (*apiv1.RenewalInfo, error) {
	info, err := s.service.RenewalInfo(ctx, requestOf(ctx).Caller, in.GetSerial())
	if err != nil {
		return nil, err
	}
	return &apiv1.RenewalInfo{
		Renewal: newRenewal(info.Renewal.Start, info.Renewal.End), RetryAfter: durationpb.New(info.RetryAfter),
	}, nil
}

// GetCertificate implements apiv1.CertificateServiceServer.
func (s *certificates) GetCertificate(ctx context.Context, in *apiv1.GetCertificateRequest) (*apiv1.Certificate, error) {
	r := requestOf(ctx)
	certificate, err := s.service.Certificate(ctx, r.Caller, in.GetSerial())
	if err != nil {
		return nil, err
	}
	r.Issued(certificate.Serial, "")
	return newCertificate(certificate), nil
}

// ListCertificates implements apiv1.CertificateServiceServer.
func (s *certificates) ListCertificates(ctx context.Context, in *apiv1.ListCertificatesRequest) (*apiv1.ListCertificatesResponse, error) {
	if err := door.FilterID(in.GetSpiffeId()); err != nil {
		return nil, err
	}
	filter := server.CertificateFilter{
		SPIFFEID: in.GetSpiffeId(), Issuer: in.GetIssuer(), State: in.GetState(),
		PageSize: int(in.GetPageSize()), PageToken: in.GetPageToken(),
	}
	if before := in.GetExpiresBefore(); before != nil {
		if err := before.CheckValid(); err != nil {
			return nil, door.Invalid("expires_before: " + err.Error())
		}
		filter.ExpiresBefore = before.AsTime()
	}
	page, err := s.service.Certificates(ctx, requestOf(ctx).Caller, filter)
	if err != nil {
		return nil, err
	}
	out := &apiv1.ListCertificatesResponse{NextPageToken: page.NextPageToken}
	for i := range page.Certificates {
		out.Certificates = append(out.Certificates, newCertificate(&page.Certificates[i]))
	}
	return out, nil
}

func wanted(in *apiv1.SignCertificateRequest) door.Wanted {
	w := door.Wanted{
		CSR: in.GetCsr(), CSRDER: in.GetCsrDer(), SPIFFEID: in.GetSpiffeId(), DNSNames: in.GetDnsNames(), Profile: in.GetProfile(),
	}
	w.Duration, w.Err = duration("duration", in.GetDuration())
	return w
}

// duration is nil when there is none, and never a saturated one.
func duration(field string, d *durationpb.Duration) (*time.Duration, error) {
	if d == nil {
		return nil, nil
	}
	value := d.AsDuration()
	if err := d.CheckValid(); err != nil {
		return nil, door.Invalid(field + ": " + err.Error())
	}
	return &value, nil
}

func newResult(result server.Result) *apiv1.SignCertificatesResponse_Result {
	if result.Err != nil {
		failure := door.Failure(result.Err)
		return &apiv1.SignCertificatesResponse_Result{Result: &apiv1.SignCertificatesResponse_Result_Error{
			Error: &apiv1.Error{Code: failure.Code, Message: failure.Message, Rule: failure.Rule},
		}}
	}
	return &apiv1.SignCertificatesResponse_Result{Result: &apiv1.SignCertificatesResponse_Result_Certificate{
		Certificate: newSignResponse(result.Issued, nil),
	}}
}

func newSignResponse(i *server.Issued, bundle *apiv1.Bundle) *apiv1.SignCertificateResponse {
	return &apiv1.SignCertificateResponse{
		Serial: i.Serial, SpiffeId: i.SPIFFEID, DnsNames: i.DNSNames, Profile: i.Profile, Issuer: i.Issuer,
		NotBefore: timestamppb.New(i.NotBefore), NotAfter: timestamppb.New(i.NotAfter), CertificateChain: i.Chain,
		Renewal: newRenewal(i.Renewal.Start, i.Renewal.End),
		Bundle:  bundle,
	}
}

func newCertificate(c *server.Certificate) *apiv1.Certificate {
	out := &apiv1.Certificate{
		Serial: c.Serial, SpiffeId: c.SPIFFEID, DnsNames: c.DNSNames, Profile: c.Profile, Issuer: c.Issuer,
		KeyHash: c.KeyHash, KeyAlgorithm: c.KeyAlgorithm,
		IssuedAt: timestamppb.New(c.IssuedAt), NotBefore: timestamppb.New(c.NotBefore), NotAfter: timestamppb.New(c.NotAfter),
		State: c.State, Method: c.Method, Caller: c.Caller, Address: c.Address,
		EntryId: c.EntryID, Replaces: c.Replaces, RequestId: c.RequestID, Certificate: c.PEM,
		RevocationReason: string(c.Reason),
	}
	if !c.RevokedAt.IsZero() {
		out.RevokedAt = timestamppb.New(c.RevokedAt)
	}
	return out
}
