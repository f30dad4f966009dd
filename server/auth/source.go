package auth

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
)

// maxDocument bounds a discovery document or a JWK Set. Those of known issuers are under 20 KiB.
const maxDocument = 1 << 20

// maxResponseHeader bounds the header of an answer.
const maxResponseHeader = 64 << 10

// remote reads a JWK Set over HTTPS, found by discovery each time or at a fixed place.
type remote struct {
	client       *http.Client
	issuer       string
	discoveryURL string // empty: jwksURL is given
	jwksURL      string
	loopback     bool // http is allowed for loopback addresses
}

var _ source = (*remote)(nil)

func newRemote(c *IssuerConfig) *remote {
	return &remote{
		issuer: c.Issuer, discoveryURL: c.DiscoveryURL, jwksURL: c.JWKSURL, loopback: c.AllowHTTPLoopback,
		client: &http.Client{
			Transport: &http.Transport{
				Proxy:                  http.ProxyFromEnvironment,
				TLSClientConfig:        &tls.Config{RootCAs: c.RootCAs, MinVersion: tls.VersionTLS12},
				MaxResponseHeaderBytes: maxResponseHeader,
				// A connection per fetch: the next one is minutes away, and none is left behind.
				DisableKeepAlives: true,
			},
			// A redirect is an answer like any other that is not 200. What is configured is
			// where the keys are; an open redirect there must not decide who we trust.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

func (r *remote) fetch(ctx context.Context) ([]byte, error) {
	if r.discoveryURL == "" {
		return r.get(ctx, r.jwksURL)
	}
	jwksURL, err := r.discover(ctx)
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	return r.get(ctx, jwksURL)
}

// discover reads the discovery document (OpenID Connect Discovery, section 4.2), and returns
// the place of the keys. The document must name the configured issuer (section 4.3).
func (r *remote) discover(ctx context.Context) (string, error) {
	data, err := r.get(ctx, r.discoveryURL)
	if err != nil {
		return "", err
	}
	var document struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(data, &document); err != nil {
		return "", fmt.Errorf("parse document: %w", err)
	}
	if document.Issuer != r.issuer {
		return "", fmt.Errorf("the document is that of issuer %q, not of %q", document.Issuer, r.issuer)
	}
	if err := checkURL(document.JWKSURI, r.loopback); err != nil {
		return "", fmt.Errorf("jwks_uri: %w", err)
	}
	return document.JWKSURI, nil
}

func (r *remote) get(ctx context.Context, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json, application/jwk-set+json")
	response, err := r.client.Do(request)
	if err != nil {
		return nil, err // says what was done to which URL
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get %q: status %d", address, response.StatusCode)
	}
	data, err := readDocument(response.Body)
	if err != nil {
		return nil, fmt.Errorf("get %q: %w", address, err)
	}
	return data, nil
}

// readDocument reads all of r unless it is too much.
func readDocument(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > maxDocument:
		return nil, fmt.Errorf("is larger than %d bytes", maxDocument)
	}
	return data, nil
}

// checkURL refuses an address that keys must not be fetched from.
func checkURL(address string, loopback bool) error {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return err
	case u.Host == "" || u.Opaque != "":
		return fmt.Errorf("URL %q has no host", address)
	case u.User != nil:
		return errors.New("URL has a user in it")
	case u.Fragment != "":
		return fmt.Errorf("URL %q has a fragment", address)
	case u.Scheme == "https":
		return nil
	case u.Scheme != "http" || !loopback:
		return fmt.Errorf("URL %q is not https", address)
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err != nil || !ip.Unmap().IsLoopback() {
		return fmt.Errorf("URL %q is not https, and its host is not a loopback IP address", address)
	}
	return nil
}

// fileSource is the path of a JWK Set.
type fileSource string

var _ source = fileSource("")

func (f fileSource) fetch(context.Context) ([]byte, error) {
	file, err := os.Open(string(f))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := readDocument(file)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", string(f), err)
	}
	return data, nil
}
