package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"
	"time"

	"github.com/pando-ca/pando/server/auth"
)

// openAuth makes the authenticator. The issuers need not be up: their keys are fetched later.
func (d *daemon) openAuth(context.Context) error {
	var issuers []*auth.Issuer
	for _, configured := range d.cfg.Issuers {
		issuer, err := newIssuer(&configured)
		if err != nil {
			return err
		}
		issuers = append(issuers, issuer)
	}
	rate := d.cfg.Limits.FailureRate
	if rate == 0 {
		rate = -1 // no limit; 0 is the default there
	}
	var err error
	d.auth, err = auth.New(auth.Config{
		Peers: d.service, Tokens: d.service, Issuers: issuers,
		FailureRate: rate, FailureBurst: d.cfg.Limits.FailureBurst,
		Observer: d.metrics, Log: d.log,
	})
	return err
}

// newIssuer makes an issuer of JWTs as it is configured.
func newIssuer(c *issuerConfig) (*auth.Issuer, error) {
	var roots *x509.CertPool
	if c.RootCAFile != "" {
		text, err := os.ReadFile(c.RootCAFile)
		if err != nil {
			return nil, fmt.Errorf("issuers %q: root_ca_file: %w", c.Name, err)
		}
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("issuers %q: root_ca_file: %s holds no certificate", c.Name, c.RootCAFile)
		}
	}
	issuer, err := auth.NewIssuer(auth.IssuerConfig{
		Name: c.Name, Issuer: c.Issuer,
		DiscoveryURL: c.DiscoveryURL, JWKSURL: c.JWKSURL, JWKSFile: c.JWKSFile,
		Audiences: c.Audiences, Algorithms: c.Algorithms,
		MaxLifetime: time.Duration(c.MaxLifetime), Leeway: time.Duration(c.Leeway), KeysMaxAge: time.Duration(c.KeysMaxAge),
		RoleClaim: c.RoleClaim, Reusable: c.Reusable, RootCAs: roots, AllowHTTPLoopback: c.AllowHTTPLoopback,
	})
	if err != nil {
		return nil, fmt.Errorf("issuers %q: %w", c.Name, err)
	}
	return issuer, nil
}
