package rest

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/server/door"
)

func (d *rest) trustRoutes() {
	register(d, server.OpTrust, huma.Operation{
		Method: http.MethodGet, Path: "/v1/trust", Summary: "Wait for a trust bundle that is newer",
		Description: "Answers at once when the bundle is newer than after, there are revocations past revocations_after, or the mTLS policy has another version than mtls_version, " +
			"and otherwise when that becomes so, when the renewal window of the client certificate moves, or when the wait is over, whichever is first. " +
			"With a client certificate, after is the acknowledgement that its holder has that bundle. " +
			"Any credential will do but a certificate that is revoked.",
	}, d.getTrust)
	allowEmpty(d.api, "/v1/trust", "mtls_version")
}

type trustInput struct {
	After uint64 `query:"after" doc:"Sequence of the bundle that the caller has; unset when it has none, which is answered at once."`
	Wait  string `query:"wait" doc:"How long the answer may take when there is nothing newer; unset: it is given at once. More than 30 seconds count as 30 seconds." example:"30s"`

	RevocationsAfter optional[uint64] `query:"revocations_after" doc:"Sequence of the revocations that the caller has, 0 when it has none; unset when it does not ask for them."`

	MTLSVersion string `query:"mtls_version" doc:"Version of the mTLS policy that the caller has, empty when it has none; unset when it does not ask for it. It is for the holder of a client certificate only."`
	asksMTLS    bool
}

// Resolve implements huma.Resolver: it tells a parameter that is empty from one that is unset.
func (in *trustInput) Resolve(ctx huma.Context) []error {
	url := ctx.URL()
	in.asksMTLS = url.Query().Has("mtls_version")
	return nil
}

var _ huma.Resolver = (*trustInput)(nil)

type trustOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         *TrustResponse
}

func (d *rest) getTrust(ctx context.Context, ex *exchange, in *trustInput) (*trustOutput, error) {
	var wait time.Duration
	if in.Wait != "" {
		var err error
		if wait, err = parseDuration("wait", in.Wait); err != nil {
			return nil, err
		}
		if wait < 0 {
			return nil, door.Invalid("wait: negative")
		}
	}
	known := server.Known{Bundle: in.After, Revocations: in.RevocationsAfter.pointer()}
	if in.asksMTLS {
		known.MTLS = &in.MTLSVersion
	}
	update, err := d.cfg.Service.Trust(ctx, ex.Caller, known, wait)
	if err != nil {
		return nil, err
	}
	body := &TrustResponse{Bundle: newBundle(update.Bundle), Revocations: newRevocations(update.Revocations), MTLS: newMTLS(update.MTLS)}
	if !update.Renewal.Start.IsZero() {
		renewal := newRenewal(update.Renewal.Start, update.Renewal.End)
		body.Renewal = &renewal
	}
	return &trustOutput{CacheControl: "no-store", Body: body}, nil
}

// Drain ends the waiting of all who wait here; [Server] sees to it that a shutdown does so.
func (d *rest) Drain() { d.cfg.Service.Drain() }
