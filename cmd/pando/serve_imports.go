package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/rotation"
	"github.com/pando-ca/pando/server"
)

// imports shows the importer to the use cases, which do not know it.
type imports struct{ importer *rotation.Importer }

var _ server.Imports = imports{}

// newImporter makes what adopts intermediates that somebody else signed.
func newImporter(cfg *config, db rotation.ImportStore, v *vault) (*rotation.Importer, error) {
	td, err := cfg.trustDomain()
	if err != nil {
		return nil, err
	}
	profiles, err := cfg.profiles()
	if err != nil {
		return nil, err
	}
	return rotation.NewImporter(rotation.ImporterConfig{
		CRLShards: cfg.CRL.Shards, URLs: cfg.urls(),
		Store: db, Keys: v.keys, TrustDomain: td, Policy: cfg.rotationPolicy(profiles),
	})
}

// Request implements server.Imports.
func (i imports) Request(ctx context.Context, renew bool, by string, now time.Time) (*server.AuthorityRequest, error) {
	request, err := i.importer.Request(ctx, renew, by, now)
	if err != nil {
		return nil, err
	}
	return &server.AuthorityRequest{
		Role: ca.Role(request.Role), CSR: request.CSR, CreatedAt: request.CreatedAt, CreatedBy: request.CreatedBy,
	}, nil
}

// Import implements server.Imports.
func (i imports) Import(ctx context.Context, intermediate, root *x509.Certificate, by string, now time.Time) ([]string, error) {
	added, err := i.importer.Import(ctx, rotation.Certificates{Intermediate: intermediate, Root: root}, by, now)
	if errors.Is(err, rotation.ErrRefused) {
		return nil, refusedImport{err}
	}
	if err != nil {
		return nil, fmt.Errorf("import authority: %w", err)
	}
	return added, nil
}

// refusedImport reads as its cause and is a server.ErrImportRefused.
type refusedImport struct{ cause error }

func (r refusedImport) Error() string   { return r.cause.Error() }
func (r refusedImport) Unwrap() []error { return []error{server.ErrImportRefused, r.cause} }
