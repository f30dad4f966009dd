package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// maxAnswer bounds what is read of one answer; the longest page of certificates has a few MB.
const maxAnswer = 64 << 20

// clientConfig is what an apiClient needs. Certificate and Bearer are optional.
type clientConfig struct {
	Server      *url.URL
	Trust       *trustRoots
	Certificate *tls.Certificate
	Bearer      string // a join token or a JWT
	Timeout     time.Duration
}

// apiClient speaks to the REST door of one server. It is safe for concurrent use.
type apiClient struct {
	server *url.URL
	trust  *trustRoots
	bearer string
	http   *http.Client
}

func newAPIClient(cfg clientConfig) *apiClient {
	return &apiClient{
		server: cfg.Server, trust: cfg.Trust, bearer: cfg.Bearer,
		http: newHTTPClient(cfg.Trust.tlsConfig(cfg.Certificate), cfg.Timeout),
	}
}

func newHTTPClient(config *tls.Config, timeout time.Duration) *http.Client {
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			TLSClientConfig: config, Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
		},
		// The API has no redirects. Following one would take credentials elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// apiRequest is one call. Body is sent as JSON unless it is nil.
type apiRequest struct {
	method string
	path   string // below the server's URL, escaped
	query  url.Values
	body   any
	accept string // media type of the answer; empty: JSON
}

// pemMedia is the media type of certificates in PEM.
const pemMedia = "application/x-pem-file"

// call performs a request and decodes the answer into out unless that is nil; a *[]byte takes
// it as it is. Errors carry the exit code of the process.
func (c *apiClient) call(ctx context.Context, r apiRequest, out any) error {
	request, err := c.request(ctx, r)
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return c.transportError(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return c.transportError(err)
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return answerError(response, data)
	}
	switch raw := out.(type) {
	case nil:
		return nil
	case *[]byte:
		*raw = data
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("the server's answer to %s %s: %w", r.method, r.path, err)
	}
	return nil
}

func (c *apiClient) request(ctx context.Context, r apiRequest) (*http.Request, error) {
	target := c.server.JoinPath(r.path)
	target.RawQuery = r.query.Encode()
	var body io.Reader
	if r.body != nil {
		data, err := json.Marshal(r.body)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(ctx, r.method, target.String(), body)
	if err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	request.Header.Set("Accept", firstOf(r.accept, "application/json"))
	request.Header.Set("User-Agent", "pando/"+readVersion().Version)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.bearer != "" {
		request.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	return request, nil
}

// transportError says in one line why there is no answer. A server that is there but is not
// who it should be is no reason to try again; one that is away is.
func (c *apiClient) transportError(err error) error {
	var urlError *url.Error
	if errors.As(err, &urlError) {
		err = urlError.Err // its text repeats the method and the whole URL
	}
	var untrusted *untrustedServerError
	switch {
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted")
	case errors.As(err, &untrusted):
		return fmt.Errorf("%s is not trusted: %w (roots that were replaced need a new bundle: see pando context renew --help)", c.server.Redacted(), err)
	}
	return withExitCode(exitUnavailable, fmt.Errorf("%s cannot be reached: %w", c.server.Redacted(), err))
}
