package rest

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/server/door"
)

func (d *rest) certificateRoutes() {
	register(d, server.OpSign, huma.Operation{
		Method: http.MethodPost, Path: "/v1/certificates", DefaultStatus: http.StatusCreated,
		Summary: "Answer a CSR with a certificate",
		Description: "A workload gets the identity that its join token or JWT gives it, or with a client certificate alone its own again. " +
			"An administrator with the role operator names the SPIFFE ID. " +
			"A bare CSR (application/pkcs10, PEM or DER) is answered with a bare chain; the query says then what else is wanted.",
		RequestBody: takesCSR(), Responses: givesChain(),
	}, d.sign)
	register(d, server.OpSign, huma.Operation{
		OperationID: "certificates.sign_batch",
		Method:      http.MethodPost, Path: "/v1/certificates/batch", MaxBodyBytes: door.MaxBatchBody,
		Summary:     "Answer up to 500 CSRs, with one result for each",
		Description: "One request that is refused does not fail the others. A credential that may be used once cannot ask for a batch.",
	}, d.signBatch)
	register(d, server.OpRenew, huma.Operation{
		Method: http.MethodPost, Path: "/v1/certificates/renew", DefaultStatus: http.StatusCreated,
		Summary:     "Give the holder of a client certificate a successor",
		Description: "The same SPIFFE ID, DNS names and profile, for the key of the CSR. A bare CSR is answered with a bare chain.",
		RequestBody: takesCSR(), Responses: givesChain(),
	}, d.renew)
	d.renewalRoutes()
	register(d, server.OpGetCertificate, huma.Operation{
		Method: http.MethodGet, Path: "/v1/certificates/{serial}", Summary: "Look one certificate up",
		Description: "Requires the role viewer.",
	}, d.getCertificate)
	register(d, server.OpListCertificates, huma.Operation{
		Method: http.MethodGet, Path: "/v1/certificates", Summary: "List certificates, latest not_after first",
		Description: "Requires the role viewer.",
	}, d.listCertificates)
}

type signInput struct {
	ContentType string   `header:"Content-Type" hidden:"true"`
	SPIFFEID    string   `query:"spiffe_id" doc:"With application/pkcs10: SPIFFE ID that is wanted."`
	DNSNames    []string `query:"dns_names,explode" nullable:"false" doc:"With application/pkcs10: DNS names that are wanted."`
	Profile     string   `query:"profile" doc:"With application/pkcs10: name of the profile that is wanted."`
	Duration    string   `query:"duration" doc:"With application/pkcs10: validity period that is wanted." example:"3600s"`
	Body        SignRequest
}

type signOutput struct {
	ContentType string `header:"Content-Type" hidden:"true"`
	Body        *SignResponse
}

func (d *rest) sign(ctx context.Context, ex *exchange, in *signInput) (*signOutput, error) {
	raw := bareType(in.ContentType) == pkcs10
	if err := in.merge(raw); err != nil {
		return nil, err
	}
	request, err := in.Body.wanted().Request(ex.ID)
	if err != nil {
		return nil, err
	}
	d.note(ex, request.Want.Profile)
	issued, err := d.cfg.Service.Issue(ctx, ex.Caller, request)
	if err != nil {
		return nil, err
	}
	ex.Issued(issued.Serial, issued.Profile)
	return answer(issued, raw), nil
}

// merge takes what is wanted from the query when the body is a bare CSR. JSON says all of it
// in the body, so that there are never two voices.
func (in *signInput) merge(raw bool) error {
	query := SignRequest{SPIFFEID: in.SPIFFEID, DNSNames: in.DNSNames, Profile: in.Profile}
	if in.Duration != "" {
		query.Duration = &in.Duration
	}
	if raw {
		query.CSRDER = in.Body.CSRDER
		in.Body = query
		return nil
	}
	if query.SPIFFEID != "" || len(query.DNSNames) > 0 || query.Profile != "" || query.Duration != nil {
		return door.Invalid("query parameters are for application/pkcs10; JSON says all in the body")
	}
	return nil
}

func (r *SignRequest) wanted() door.Wanted {
	wanted := door.Wanted{CSR: r.CSR, CSRDER: r.CSRDER, SPIFFEID: r.SPIFFEID, DNSNames: r.DNSNames, Profile: r.Profile}
	if r.Duration != nil {
		duration, err := parseDuration("duration", *r.Duration)
		wanted.Duration, wanted.Err = &duration, err
	}
	return wanted
}

// parseDuration takes "3600s", as protojson writes durations, and Go's other spellings.
func parseDuration(field, text string) (time.Duration, error) {
	duration, err := time.ParseDuration(text)
	if err != nil {
		return 0, door.Invalid(fmt.Sprintf("%s: %q is not a duration such as 3600s or 1h", field, clip(text)))
	}
	return duration, nil
}

// positiveDuration is parseDuration for what must take some time.
func positiveDuration(field, text string) (time.Duration, error) {
	d, err := parseDuration(field, text)
	if err == nil && d <= 0 {
		err = door.Invalid(field + ": not positive")
	}
	return d, err
}

// clip keeps a message from growing with what it is about.
func clip(text string) string {
	const most = 80
	if len(text) > most {
		return text[:most]
	}
	return text
}

// note remembers an existing profile for the metrics, also of a request that fails later.
func (d *rest) note(ex *exchange, profile string) {
	if d.cfg.Service.HasProfile(profile) {
		ex.Profile = profile
	}
}

type batchInput struct{ Body BatchRequest }
type batchOutput struct{ Body *BatchResponse }

func (d *rest) signBatch(ctx context.Context, ex *exchange, in *batchInput) (*batchOutput, error) {
	wanted := make([]door.Wanted, len(in.Body.Requests))
	for i := range in.Body.Requests {
		wanted[i] = in.Body.Requests[i].wanted()
	}
	results, err := door.IssueBatch(ctx, d.cfg.Service, ex.Request, wanted)
	if err != nil {
		return nil, err
	}
	response := &BatchResponse{Results: make([]Result, len(results)), Bundle: newBundle(d.cfg.Service.Bundle())}
	for i, result := range results {
		if result.Err != nil {
			failure := door.Failure(result.Err)
			response.Results[i].Error = &ResultError{Code: failure.Code, Message: failure.Message, Rule: failure.Rule}
			continue
		}
		response.Results[i].Certificate = newSignResponse(result.Issued)
		response.Results[i].Certificate.Bundle = nil
	}
	return &batchOutput{response}, nil
}

type renewInput struct {
	ContentType string `header:"Content-Type" hidden:"true"`
	Body        RenewRequest
}

func (d *rest) renew(ctx context.Context, ex *exchange, in *renewInput) (*signOutput, error) {
	request, err := door.Wanted{CSR: in.Body.CSR, CSRDER: in.Body.CSRDER}.Request(ex.ID)
	if err != nil {
		return nil, err
	}
	issued, err := d.cfg.Service.Renew(ctx, ex.Caller, request)
	if err != nil {
		return nil, err
	}
	ex.Issued(issued.Serial, issued.Profile)
	return answer(issued, bareType(in.ContentType) == pkcs10), nil
}

// answer gives a chain for a bare CSR, JSON for JSON.
func answer(issued *server.Issued, raw bool) *signOutput {
	out := &signOutput{ContentType: jsonType, Body: newSignResponse(issued)}
	if raw {
		out.ContentType = pemChain
	}
	return out
}

func newSignResponse(i *server.Issued) *SignResponse {
	return &SignResponse{
		Serial: i.Serial, SPIFFEID: i.SPIFFEID, DNSNames: i.DNSNames, Profile: i.Profile, Issuer: i.Issuer,
		NotBefore: i.NotBefore.UTC(), NotAfter: i.NotAfter.UTC(), CertificateChain: i.Chain,
		Renewal: newRenewal(i.Renewal.Start, i.Renewal.End),
		Bundle:  newBundle(i.Bundle),
	}
}

type getCertificateInput struct {
	Serial string `path:"serial" doc:"Serial number as 38 lower-case hex digits."`
}
type certificateOutput struct{ Body *Certificate }

func (d *rest) getCertificate(ctx context.Context, ex *exchange, in *getCertificateInput) (*certificateOutput, error) {
	certificate, err := d.cfg.Service.Certificate(ctx, ex.Caller, in.Serial)
	if err != nil {
		return nil, err
	}
	ex.Issued(certificate.Serial, "")
	body := newCertificate(certificate)
	return &certificateOutput{&body}, nil
}

type listCertificatesInput struct {
	SPIFFEID      string    `query:"spiffe_id" doc:"Only those of this SPIFFE ID."`
	Issuer        string    `query:"issuer" doc:"Only those signed by the authority with this ID."`
	State         string    `query:"state" enum:"live,expired,revoked" doc:"Only those in this state."`
	ExpiresBefore time.Time `query:"expires_before" doc:"Only those with a not_after before this moment."`
	PageSize      int       `query:"page_size" doc:"At most so many, 1 to 999; unset: 100."`
	PageToken     string    `query:"page_token" doc:"next_page_token of the page before."`
}
type certificateListOutput struct{ Body *CertificateList }

func (d *rest) listCertificates(ctx context.Context, ex *exchange, in *listCertificatesInput) (*certificateListOutput, error) {
	if err := door.FilterID(in.SPIFFEID); err != nil {
		return nil, err
	}
	page, err := d.cfg.Service.Certificates(ctx, ex.Caller, server.CertificateFilter{
		SPIFFEID: in.SPIFFEID, Issuer: in.Issuer, State: in.State, ExpiresBefore: in.ExpiresBefore,
		PageSize: in.PageSize, PageToken: in.PageToken,
	})
	if err != nil {
		return nil, err
	}
	list := &CertificateList{Certificates: make([]Certificate, len(page.Certificates)), NextPageToken: page.NextPageToken}
	for i := range page.Certificates {
		list.Certificates[i] = newCertificate(&page.Certificates[i])
	}
	return &certificateListOutput{list}, nil
}

func newCertificate(c *server.Certificate) Certificate {
	shown := Certificate{
		Serial: c.Serial, SPIFFEID: c.SPIFFEID, DNSNames: c.DNSNames, Profile: c.Profile, Issuer: c.Issuer,
		KeyHash: c.KeyHash, KeyAlgorithm: c.KeyAlgorithm,
		IssuedAt: c.IssuedAt.UTC(), NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(),
		State: c.State, Method: c.Method, Caller: c.Caller, Address: c.Address,
		EntryID: c.EntryID, Replaces: c.Replaces, RequestID: c.RequestID, Certificate: c.PEM,
		RevocationReason: string(c.Reason),
	}
	if !c.RevokedAt.IsZero() {
		at := c.RevokedAt.UTC()
		shown.RevokedAt = &at
	}
	return shown
}
