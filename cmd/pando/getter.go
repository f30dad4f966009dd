package main

import (
	"context"
	"crypto"
	"crypto/tls"
	"fmt"
	"net/http"
	"time"

	"github.com/pando-ca/pando/ca"
)

// getter is one run of get.
type getter struct {
	options *getOptions
	io      stdio
	now     time.Time
}

// get brings the folder up to date and returns what is in force then.
func (g *getter) get(ctx context.Context) (*credentialInfo, error) {
	settings, _, err := g.options.connection.resolve()
	if err != nil {
		return nil, err
	}
	dir, err := openCredentialDir(g.options.out)
	if err != nil {
		return nil, err
	}
	current, err := dir.load()
	if err != nil {
		return nil, err
	}
	if why := g.unfit(current); why != "" {
		return g.enrol(ctx, dir, settings, why)
	}
	if g.options.ifDue && g.now.Before(current.info.Renewal.Start) {
		return &current.info, nil
	}
	info, err := g.renew(ctx, dir, settings, current)
	if exitCode(err) == exitDenied && g.options.hasCredential() {
		// Revoked, or its entry is gone: a new credential may give a new identity.
		fmt.Fprintf(g.io.err, "pando: warning: the certificate in %s was refused: %v; enrolling anew\n", g.options.out, err)
		return g.enrol(ctx, dir, settings, "")
	}
	return info, err
}

// unfit says why what is there cannot be renewed, or is empty.
func (g *getter) unfit(c *credentials) string {
	wanted := g.options.spiffeID
	switch {
	case c == nil:
		return fmt.Sprintf("there is no certificate in %s to renew", g.options.out)
	case !g.now.Before(c.pair.Leaf.NotAfter):
		return fmt.Sprintf("the certificate in %s has expired", g.options.out)
	case wanted != "" && wanted != c.info.SPIFFEID:
		return fmt.Sprintf("the certificate in %s is for %s, not for %s", g.options.out, printable(c.info.SPIFFEID), printable(wanted))
	}
	return ""
}

// renew replaces a valid certificate, verified under the bundle that came with it.
func (g *getter) renew(ctx context.Context, dir *credentialDir, settings savedContext, current *credentials) (*credentialInfo, error) {
	client, err := g.client(settings, current.trust, current.pair, "")
	if err != nil {
		return nil, err
	}
	algorithm, err := ca.KeyAlgorithmOf(current.pair.Leaf.PublicKey)
	if err != nil {
		return nil, err
	}
	key, err := newKey(g.options.algorithm(algorithm))
	if err != nil {
		return nil, err
	}
	issued, err := client.renew(ctx, key)
	if err != nil {
		return nil, err
	}
	return g.keep(dir, client, issued, key)
}

// enrol obtains the first certificate, with a token. why is the reason that a renewal will not do.
func (g *getter) enrol(ctx context.Context, dir *credentialDir, settings savedContext, why string) (*credentialInfo, error) {
	bearer, err := g.options.credential(g.io.in, why)
	if err != nil {
		return nil, err
	}
	trust, err := g.firstTrust(ctx, settings)
	if err != nil {
		return nil, err
	}
	client, err := g.client(settings, trust, nil, bearer)
	if err != nil {
		return nil, err
	}
	key, err := g.enrolmentKey(dir)
	if err != nil {
		return nil, err
	}
	csr, err := newCSR(key)
	if err != nil {
		return nil, err
	}
	issued, err := client.sign(ctx, signRequestJSON{
		CSRDER: csr, SPIFFEID: g.options.spiffeID, DNSNames: g.options.dnsNames,
		Profile: g.options.profile, Duration: wireDuration(g.options.validity),
	})
	if err != nil {
		return nil, err
	}
	info, err := g.keep(dir, client, issued, key)
	if err != nil {
		return nil, err
	}
	return info, dir.forgetPending()
}

// keep puts a certificate in force.
func (g *getter) keep(dir *credentialDir, client *apiClient, issued *issuedJSON, key crypto.Signer) (*credentialInfo, error) {
	trust, err := issued.verify(key, client.trust, g.now)
	if err != nil {
		return nil, err
	}
	info, err := dir.store(issued, key, trust)
	if err != nil {
		return nil, fmt.Errorf("certificate %s is issued and not written: %w", issued.Serial, err)
	}
	return info, dir.prune(g.now)
}

// enrolmentKey is the key to enrol with: that of an interrupted run, if it is of the kind asked for.
func (g *getter) enrolmentKey(dir *credentialDir) (crypto.Signer, error) {
	algorithm := g.options.algorithm(ca.ECDSAP256)
	return dir.pendingKey(
		func() (crypto.Signer, error) { return newKey(algorithm) },
		func(key crypto.Signer) bool {
			found, err := ca.KeyAlgorithmOf(key.Public())
			return err == nil && found == algorithm
		})
}

func (g *getter) client(settings savedContext, trust *trustRoots, certificate *tls.Certificate, bearer string) (*apiClient, error) {
	server, err := parseServerURL(settings.Server)
	if err != nil {
		return nil, err
	}
	return newAPIClient(clientConfig{
		Server: server, Trust: trust, Certificate: certificate, Bearer: bearer, Timeout: g.options.connection.timeout,
	}), nil
}

// firstTrust is what the server is verified under before there is a bundle of our own: the
// root of the fingerprint, or a file.
func (g *getter) firstTrust(ctx context.Context, settings savedContext) (*trustRoots, error) {
	if g.options.fingerprint != "" {
		server, err := parseServerURL(settings.Server)
		if err != nil {
			return nil, err
		}
		pin, err := parseFingerprint(g.options.fingerprint)
		if err != nil {
			return nil, err
		}
		return fetchPinned(ctx, clientConfig{Server: server, Timeout: g.options.connection.timeout}, pin)
	}
	if settings.Bundle == "" {
		return nil, usageErrorf("the server's trust bundle is needed: --bundle, or --fingerprint of its root")
	}
	return readBundle(settings.Bundle)
}

// fetchPinned asks a server that cannot be verified yet for its bundle, and keeps of it the
// one root that has the fingerprint. Nothing secret is sent, and nothing else of the answer
// is believed; the server is verified under that root from then on.
func fetchPinned(ctx context.Context, cfg clientConfig, pin rootFingerprint) (*trustRoots, error) {
	client := &apiClient{server: cfg.Server, http: newHTTPClient(&tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // the root is verified by its fingerprint
	}, cfg.Timeout)}
	var text []byte
	request := apiRequest{method: http.MethodGet, path: "v1/bundle", accept: pemMedia}
	if err := client.call(ctx, request, &text); err != nil {
		return nil, err
	}
	trust, err := parseBundle(text)
	if err != nil {
		return nil, fmt.Errorf("the server's bundle: %w", err)
	}
	return trust.only(pin)
}
