package rest

import (
	"context"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pando-ca/pando/server"
)

func (d *rest) revocationRoutes() {
	register(d, server.OpRevokeCertificate, huma.Operation{
		Method: http.MethodPost, Path: "/v1/certificates/{serial}/revoke", Summary: "Revoke one certificate",
		Description: "One that is revoked already stays as it is, and the answer says since when. " +
			"Requires the role operator, and admin for an identity under /pando/.",
	}, d.revokeCertificate)
	register(d, server.OpCreateRevocation, huma.Operation{
		Method: http.MethodPost, Path: "/v1/revocations", Summary: "Revoke all unexpired certificates of a SPIFFE ID, an issuer or a key",
		Description: "Requires the role operator, and admin by issuer, by key, and for an identity under /pando/.",
	}, d.createRevocation)
}

type revokeInput struct {
	Serial string `path:"serial" doc:"Serial number as 38 lower-case hex digits."`
	Body   RevokeRequest
}

func (d *rest) revokeCertificate(ctx context.Context, ex *exchange, in *revokeInput) (*certificateOutput, error) {
	certificate, err := d.cfg.Service.RevokeCertificate(ctx, ex.Caller, in.Serial, server.Reason(in.Body.Reason))
	if err != nil {
		return nil, err
	}
	ex.Issued(certificate.Serial, "")
	body := newCertificate(certificate)
	return &certificateOutput{&body}, nil
}

type revocationInput struct{ Body RevocationRequest }
type revocationOutput struct{ Body *RevocationResponse }

func (d *rest) createRevocation(ctx context.Context, ex *exchange, in *revocationInput) (*revocationOutput, error) {
	result, err := d.cfg.Service.Revoke(ctx, ex.Caller, server.RevocationSpec{
		SPIFFEID: in.Body.SPIFFEID, Issuer: in.Body.Issuer, KeyHash: in.Body.KeyHash,
		Reason: server.Reason(in.Body.Reason), DryRun: in.Body.DryRun,
	})
	if err != nil {
		return nil, err
	}
	return &revocationOutput{&RevocationResponse{
		Certificates: int32(result.Certificates), Identities: int32(result.Identities), More: result.More,
	}}, nil
}

// newRevocations is nil when there are none to tell of.
func newRevocations(r *server.Revocations) *Revocations {
	if r == nil {
		return nil
	}
	shown := &Revocations{
		Sequence: r.Sequence, Serials: make([]string, len(r.Serials)), Authorities: append([]string{}, r.Authorities...),
		More: r.More, Reset: r.Reset,
	}
	for i, serial := range r.Serials {
		shown.Serials[i] = serial.String()
	}
	return shown
}

// optional is a query parameter for which being unset is not the same as zero.
type optional[T any] struct {
	value T
	set   bool
}

// Schema implements huma.SchemaProvider: it is that of the value.
func (o optional[T]) Schema(r huma.Registry) *huma.Schema {
	return huma.SchemaFromType(r, reflect.TypeFor[T]())
}

// Receiver implements huma.ParamWrapper.
func (o *optional[T]) Receiver() reflect.Value { return reflect.ValueOf(&o.value).Elem() }

// OnParamSet implements huma.ParamReactor.
func (o *optional[T]) OnParamSet(set bool, _ any) { o.set = set }

// pointer is nil when the parameter is unset.
func (o *optional[T]) pointer() *T {
	if !o.set {
		return nil
	}
	return &o.value
}
