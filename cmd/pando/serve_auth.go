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
	issuers, err := d.cfg.issuers()
	if err != nil {
		return err
	}
	rate := d.cfg.Limits.FailureRate
	if rate == 0 {
		rate = -1 // no limit; 0 is the default there
	}
	d.auth, err = auth.New(auth.Config{
		Peers: d.service, Tokens: d.service, Issuers: issuers,
		FailureRate: rate, FailureBurst: d.cfg.Limits.FailureBurst,
		Observer: d.metrics, Log: d.log,
	})
	return err
}

// issuers makes the issuers of JWTs. It reads the files that they name.
func (c *config) issuers() ([]*auth.Issuer, error) {
	var issuers []*auth.Issuer
	for i := range c.Issuers {
		issuer, err := newIssuer(&c.Issuers[i])
		if err != nil {
			return nil, fmt.Errorf("issuers %q: %w", c.Issuers[i].Name, err)
		}
		issuers = append(issuers, issuer)
	}
	return issuers, nil
}

// newIssuer makes an issuer of JWTs as it is configured.
func newIssuer(c *issuerConfig) (*auth.Issuer, error) {
	var roots *x509.CertPool
	if c.RootCAFile != "" {
		text, err := os.ReadFile(c.RootCAFile)
		if err != nil {
			return nil, fmt.Errorf("root_ca_file: %w", err)
		}
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("root_ca_file: %s holds no certificate", c.RootCAFile)
		}
	}
	cfg := c.authConfig()
	cfg.RootCAs = roots
	return auth.NewIssuer(cfg)
}

// authConfig is the issuer as package auth takes it, without what is in files.
func (c *issuerConfig) authConfig() auth.IssuerConfig {
	return auth.IssuerConfig{
		Name: c.Name, Issuer: c.Issuer,
		DiscoveryURL: c.DiscoveryURL, JWKSURL: c.JWKSURL, JWKSFile: c.JWKSFile,
		Audiences: c.Audiences, Algorithms: c.Algorithms,
		MaxLifetime: time.Duration(c.MaxLifetime), Leeway: time.Duration(c.Leeway), KeysMaxAge: time.Duration(c.KeysMaxAge),
		RoleClaim: c.RoleClaim, Reusable: c.Reusable, AllowHTTPLoopback: c.AllowHTTPLoopback,
	}
}
