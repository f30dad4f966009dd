package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// maxRetryAfter bounds what a server can ask for, so that a slip there (or here in
// reading a date) does not silence a client for good.
const maxRetryAfter = time.Hour

// exchange asks one server for a certificate over a connection of its own, until ctx ends.
// Hours lie between two of these questions, and each renewal presents another certificate,
// so there is nothing to be kept.
func (p *pando) exchange(ctx context.Context, server string, c call, body []byte) (*snapshot, error) {
	request, err := c.http(ctx, server, body)
	if err != nil {
		return nil, err
	}
	l, err := openLine(ctx, p.dial, request.URL, c.contact)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", server, err)
	}
	defer l.close()
	response, data, _, err := l.ask(ctx, request) //nolint:bodyclose // readResponse closes it
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
	setHeader(request)
	request.Header.Set("Content-Type", "application/json")
	if c.bearer != "" {
		request.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	return request, nil
}

// setHeader sets what every request to the CA has.
func setHeader(request *http.Request) {
	request.Header.Set("User-Agent", "pando-client")
	request.Header.Set("Accept", "application/json, application/problem+json")
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
