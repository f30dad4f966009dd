package rest

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pando-ca/pando/server"
)

func (d *rest) tokenRoutes() {
	register(d, server.OpCreateJoinToken, huma.Operation{
		Method: http.MethodPost, Path: "/v1/join-tokens", DefaultStatus: http.StatusCreated, Summary: "Make a join token",
		Description: "It enrols one workload under one entry, once. Requires the role operator, and admin for an identity under /pando/.",
	}, d.createJoinToken)
}

type joinTokenInput struct{ Body JoinTokenRequest }
type joinTokenOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         *JoinToken
}

func (d *rest) createJoinToken(ctx context.Context, ex *exchange, in *joinTokenInput) (*joinTokenOutput, error) {
	var ttl time.Duration
	if in.Body.TTL != nil {
		var err error
		if ttl, err = positiveDuration("ttl", *in.Body.TTL); err != nil {
			return nil, err
		}
	}
	token, err := d.cfg.Service.CreateJoinToken(ctx, ex.Caller, in.Body.EntryID, ttl)
	if err != nil {
		return nil, err
	}
	return &joinTokenOutput{CacheControl: "no-store", Body: &JoinToken{
		ID: token.ID, EntryID: token.EntryID, Token: token.Secret, ExpiresAt: token.ExpiresAt.UTC(),
	}}, nil
}
