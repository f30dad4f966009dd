package rest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pando-ca/pando/server"
)

func (d *rest) renewalRoutes() {
	register(d, server.OpGetNewest, huma.Operation{
		Method: http.MethodGet, Path: "/v1/certificates/newest",
		Summary: "Give the holder of a client certificate the newest one for the same key",
		Description: "The successor that Pando has made by itself under an entry with pre_renew, or the presented certificate again. " +
			"Accept: application/pem-certificate-chain is answered with a bare chain. With If-None-Match, what is there already is not sent again.",
		Responses: givesNewest(),
	}, d.getNewest)
	register(d, server.OpRenewalInfo, huma.Operation{
		Method: http.MethodGet, Path: "/v1/certificates/{serial}/renewal-info", Summary: "Tell when a certificate is to be renewed",
		Description: "The idea of RFC 9773. A workload asks for certificates of its own SPIFFE ID; the role viewer for any.",
	}, d.getRenewalInfo)
}

type newestInput struct {
	Accept      string `header:"Accept" hidden:"true"`
	IfNoneMatch string `header:"If-None-Match" hidden:"true"`
}

type newestOutput struct {
	Status       int
	ContentType  string `header:"Content-Type" hidden:"true"`
	ETag         string `header:"ETag"`
	CacheControl string `header:"Cache-Control"`
	Vary         string `header:"Vary" hidden:"true"`
	Body         *SignResponse
}

func (d *rest) getNewest(ctx context.Context, ex *exchange, in *newestInput) (*newestOutput, error) {
	newest, err := d.cfg.Service.Newest(ctx, ex.Caller)
	if err != nil {
		return nil, err
	}
	ex.Issued(newest.Serial, newest.Profile)
	out := &newestOutput{
		Status: http.StatusOK, ContentType: jsonType, CacheControl: "private, no-cache", Vary: "Accept", Body: newSignResponse(newest),
	}
	if strings.Contains(in.Accept, pemChain) {
		out.ContentType = pemChain
	}
	out.ETag = newestTag(newest, out.ContentType)
	if in.IfNoneMatch == out.ETag {
		out.Status, out.Body = http.StatusNotModified, nil
	}
	return out, nil
}

// newestTag changes with what an answer of this type holds: the chain grows and shrinks with a
// rotation of the root, and with JSON come the bundle and the window.
func newestTag(i *server.Issued, contentType string) string {
	hash := sha256.New()
	io.WriteString(hash, i.Chain)
	if contentType == jsonType {
		fmt.Fprint(hash, i.Bundle.ETag, i.Renewal.Start.UnixNano(), i.Renewal.End.UnixNano())
	}
	return `"` + hex.EncodeToString(hash.Sum(nil)[:16]) + `"`
}

type renewalInfoOutput struct {
	RetryAfter int `header:"Retry-After" doc:"Seconds until it is worth to ask again."`
	Body       *RenewalInfo
}

func (d *rest) getRenewalInfo(ctx context.Context, ex *exchange, in *getCertificateInput) (*renewalInfoOutput, error) {
	info, err := d.cfg.Service.RenewalInfo(ctx, ex.Caller, in.Serial)
	if err != nil {
		return nil, err
	}
	return &renewalInfoOutput{
		RetryAfter: int(info.RetryAfter / time.Second),
		Body:       &RenewalInfo{Renewal: newRenewal(info.Renewal.Start, info.Renewal.End), RetryAfter: durationText(info.RetryAfter)},
	}, nil
}

func newRenewal(start, end time.Time) Renewal { return Renewal{Start: start.UTC(), End: end.UTC()} }
