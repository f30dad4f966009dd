package client

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

const (
	// exchangeTimeout bounds one request to one server, so that a server that swallows
	// packets costs this much before the next is asked. An issuance takes milliseconds.
	exchangeTimeout = 10 * time.Second

	// maxAnswer is the most that is read of an answer with its header: a chain and a bundle
	// of many roots are some kilobytes.
	maxAnswer = 1 << 20

	// maxInterim is how many interim answers (RFC 9110, section 15.2) are read past.
	maxInterim = 8

	// maxRetryAfter bounds what a server can ask for, so that a slip there (or here in
	// reading a date) does not silence a client for good.
	maxRetryAfter = time.Hour
)

// exchange asks one server over a connection of its own. Hours lie between two questions,
// and each renewal presents another certificate, so there is nothing to be kept; and with
// nothing kept there is no need for an http.Transport, which dials in goroutines that
// outlive the request and so could not be waited for.
func (p *pando) exchange(ctx context.Context, server string, c call, body []byte) (*snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	request, err := c.http(ctx, server, body)
	if err != nil {
		return nil, err
	}
	response, data, err := p.roundTrip(ctx, request, c.tls(request.URL.Hostname())) //nolint:bodyclose // readResponse closes it
	if err != nil {
		return nil, fmt.Errorf("%s: %w", server, err)
	}
	now := time.Now()
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusCreated {
		// A redirect too: the credential is for this server.
		return nil, refusal(server, response, data, now)
	}
	s, err := received(data, c.trust, c.key, c.want, now)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", server, err)
	}
	return s, nil
}

// http is the call as an HTTP/1.1 request.
func (c call) http(ctx context.Context, server string, body []byte) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, server+c.path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Close = true
	request.Header.Set("User-Agent", "pando-client")
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json, application/problem+json")
	if c.bearer != "" {
		request.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	return request, nil
}

// roundTrip sends a request over a new connection and reads the whole answer.
func (p *pando) roundTrip(ctx context.Context, request *http.Request, config *tls.Config) (*http.Response, []byte, error) {
	port := request.URL.Port()
	if port == "" {
		port = "443"
	}
	raw, err := p.dial(ctx, "tcp", net.JoinHostPort(request.URL.Hostname(), port))
	if err != nil {
		return nil, nil, err
	}
	defer raw.Close()
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	response, data, err := talk(ctx, tls.Client(raw, config), request)
	if ctx.Err() != nil {
		return nil, nil, fmt.Errorf("no answer: %w", ctx.Err()) // not that the connection was closed because of it
	}
	return response, data, err
}

// talk is the exchange on an open connection. Nothing is sent before the server is verified.
func talk(ctx context.Context, conn *tls.Conn, request *http.Request) (*http.Response, []byte, error) {
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, nil, err
	}
	if err := request.Write(conn); err != nil {
		return nil, nil, fmt.Errorf("send request: %w", err)
	}
	limited := &io.LimitedReader{R: conn, N: maxAnswer}
	response, data, err := readResponse(bufio.NewReader(limited), request)
	switch {
	case err != nil && limited.N <= 0:
		return nil, nil, fmt.Errorf("answer is over %d octets", maxAnswer)
	case err != nil:
		return nil, nil, fmt.Errorf("read answer: %w", err)
	}
	return response, data, nil
}

// readResponse reads the final response and its body.
func readResponse(r *bufio.Reader, request *http.Request) (*http.Response, []byte, error) {
	for range maxInterim {
		response, err := http.ReadResponse(r, request)
		if err != nil {
			return nil, nil, err
		}
		if response.StatusCode < 200 && response.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		data, err := io.ReadAll(response.Body)
		response.Body.Close()
		return response, data, err
	}
	return nil, nil, errors.New("interim answers without end")
}

// tls is the configuration for one connection to the CA. Go's own verification is replaced,
// not switched off: it compares host names, which say nothing here, while the identity of
// the CA's servers is a SPIFFE ID.
func (c call) tls(serverName string) *tls.Config {
	config := &tls.Config{
		MinVersion:         tls.VersionTLS13,
		ServerName:         serverName, // for SNI alone
		InsecureSkipVerify: true,       //nolint:gosec // VerifyConnection verifies
		VerifyConnection: func(state tls.ConnectionState) error {
			want, err := c.trust.server()
			if err != nil {
				return err
			}
			id, _, err := c.trust.verify(state.PeerCertificates, x509.ExtKeyUsageServerAuth, time.Now())
			switch {
			case err != nil:
				return fmt.Errorf("server's certificate: %w", err)
			case id != want:
				return fmt.Errorf("server is %s, want %s", id, want)
			}
			return nil
		},
	}
	if c.client != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.client, nil }
	}
	return config
}

// refusal reads an answer that is no certificate. It need not be Pando's: a proxy in
// between refuses in its own words.
func refusal(server string, response *http.Response, body []byte, now time.Time) *ServerError {
	e := &ServerError{
		Server: server, Status: response.StatusCode, RequestID: response.Header.Get("X-Request-Id"),
		RetryAfter: retryAfter(response.Header.Get("Retry-After"), now),
	}
	var p problem
	if err := json.Unmarshal(body, &p); err != nil {
		return e // the status says what there is to say
	}
	e.Code, e.Rule, e.Detail = p.Code, p.Rule, p.Detail
	if e.Detail == "" {
		e.Detail = p.Title
	}
	if p.RequestID != "" {
		e.RequestID = p.RequestID
	}
	return e
}

// retryAfter reads seconds or a date (RFC 9110, section 10.2.3); 0 for anything else.
func retryAfter(value string, now time.Time) time.Duration {
	var d time.Duration
	if seconds, err := strconv.ParseUint(value, 10, 63); err == nil {
		d = time.Duration(min(seconds, uint64(maxRetryAfter/time.Second))) * time.Second
	} else if date, err := http.ParseTime(value); err == nil {
		d = date.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}
