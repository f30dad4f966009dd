package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// sign obtains a certificate.
func (c *apiClient) sign(ctx context.Context, request signRequestJSON) (*issuedJSON, error) {
	issued := &issuedJSON{}
	return issued, c.call(ctx, apiRequest{method: http.MethodPost, path: certificatesPath, body: request}, issued)
}

// renew obtains a successor of the client certificate for a new key.
func (c *apiClient) renew(ctx context.Context, key crypto.Signer) (*issuedJSON, error) {
	csr, err := newCSR(key)
	if err != nil {
		return nil, err
	}
	issued := &issuedJSON{}
	request := apiRequest{method: http.MethodPost, path: certificatesPath + "/renew", body: renewRequestJSON{CSRDER: csr}}
	return issued, c.call(ctx, request, issued)
}

// verify checks that an answer is a certificate for key under the bundle that came with it,
// and in the trust domain that was asked, before anything that works is replaced by it. It
// returns that bundle.
func (i *issuedJSON) verify(key crypto.Signer, asked *trustRoots, now time.Time) (*trustRoots, error) {
	trust, err := i.verified(key, asked, now)
	if err != nil {
		return nil, fmt.Errorf("the server's answer is not used: %w", err)
	}
	return trust, nil
}

func (i *issuedJSON) verified(key crypto.Signer, asked *trustRoots, now time.Time) (*trustRoots, error) {
	trust, err := parseBundle([]byte(i.Bundle.Roots))
	if err != nil {
		return nil, fmt.Errorf("bundle %w", err)
	}
	if trust.domain != asked.domain {
		return nil, fmt.Errorf("bundle is of trust domain %s, not %s", trust.domain, asked.domain)
	}
	chain, err := parseCertificates([]byte(i.CertificateChain))
	if err != nil {
		return nil, fmt.Errorf("chain %w", err)
	}
	if public, ok := chain[0].PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(key.Public()) {
		return nil, errors.New("the certificate is for another key")
	}
	if now.Before(chain[0].NotBefore) {
		now = chain[0].NotBefore // our clock is behind the server's; nothing is wrong with the chain
	}
	id, err := trust.verify(chain, x509.ExtKeyUsageClientAuth, now)
	switch {
	case err != nil:
		return nil, fmt.Errorf("certificate: %w", err)
	case id.String() != i.SPIFFEID:
		return nil, fmt.Errorf("the certificate is for %s, not %s", id, printable(i.SPIFFEID))
	}
	return trust, nil
}
