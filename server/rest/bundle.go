package rest

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pando-ca/pando/server"
)

func (d *rest) bundleRoutes() {
	register(d, server.OpGetBundle, huma.Operation{
		Method: http.MethodGet, Path: "/v1/bundle", Summary: "Give the trust bundle",
		Description: "As a SPIFFE bundle document (a JWK set), or as PEM with format=pem or Accept: application/x-pem-file. " +
			"It needs no credentials.",
		Responses: givesBundle(),
	}, d.getBundle)
}

type bundleInput struct {
	Format      string `query:"format" enum:"spiffe,pem" doc:"spiffe (the default) or pem."`
	Accept      string `header:"Accept" hidden:"true"`
	IfNoneMatch string `header:"If-None-Match" hidden:"true"`
}

type bundleOutput struct {
	Status       int
	ContentType  string `header:"Content-Type" hidden:"true"`
	ETag         string `header:"ETag"`
	CacheControl string `header:"Cache-Control"`
	Vary         string `header:"Vary" hidden:"true"`
	Body         []byte
}

func (d *rest) getBundle(_ context.Context, _ *exchange, in *bundleInput) (*bundleOutput, error) {
	bundle := d.cfg.Service.Bundle()
	out := &bundleOutput{
		Status: http.StatusOK, ContentType: jsonType, ETag: bundle.ETag, CacheControl: cacheControl(bundle.RefreshHint),
		Vary: "Accept", Body: bundle.Document,
	}
	if in.Format == "pem" || in.Format == "" && strings.Contains(in.Accept, pemFile) {
		out.ContentType, out.Body = pemFile, []byte(bundle.PEM)
		out.ETag = strings.TrimSuffix(bundle.ETag, `"`) + `-pem"` // another representation
	}
	if in.IfNoneMatch == out.ETag {
		out.Status, out.Body = http.StatusNotModified, nil
	}
	return out, nil
}

// newBundle is the bundle as it goes with every certificate.
func newBundle(b *server.Bundle) *Bundle {
	return &Bundle{
		TrustDomain: b.TrustDomain, Sequence: b.Sequence,
		RefreshHint: int32(b.RefreshHint / time.Second), Roots: b.PEM,
	}
}
