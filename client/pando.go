package client

import (
	"bytes"
	"context"
	"crypto"
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

	"github.com/pando-ca/pando/ca/spiffeid"
)

const (
	signPath  = "/v1/certificates"
	renewPath = "/v1/certificates/renew"

	// exchangeTimeout bounds one request to one server, so that a server that swallows
	// packets costs this much before the next is asked. An issuance takes milliseconds.
	exchangeTimeout = 10 * time.Second

	// maxAnswer is the most that is read of an answer: a chain and a bundle of many roots
	// are some kilobytes.
	maxAnswer = 1 << 20

	// maxRetryAfter bounds what a server can ask for, so that a slip there (or here in
	// reading a date) does not silence a client for good.
	maxRetryAfter = time.Hour
)

// pando is the CA as a Source sees it. It is used by one goroutine at a time, which makes
// one renewal in flight a fact rather than a rule.
type pando struct {
	servers    []string // base URLs
	dial       func(ctx context.Context, network, address string) (net.Conn, error)
	credential credential
	algorithm  KeyAlgorithm
	request    signRequest // without its CSR

	preferred int // index of the server that answered last

	// The join token that is being used, and the key that it enrols: if the answer is lost,
	// the server repeats it for the same key only.
	token string
	key   crypto.Signer
	spent bool // the token has enrolled
}

// call is one question to the CA.
type call struct {
	path    string
	request signRequest
	bearer  string           // or
	client  *tls.Certificate // the certificate that is to be renewed
	trust   *trust           // what the server and the answer must be of
	key     crypto.Signer
	want    spiffeid.ID // zero: any
}

// enrol obtains a certificate with the configured credential.
func (p *pando) enrol(ctx context.Context, t *trust, want spiffeid.ID) (*snapshot, error) {
	bearer, err := p.credential.bearer(ctx)
	if err != nil {
		return nil, err
	}
	key, err := p.keyFor(bearer)
	if err != nil {
		return nil, err
	}
	s, err := p.ask(ctx, call{path: signPath, request: p.request, bearer: bearer, trust: t, key: key, want: want})
	if err != nil {
		return nil, fmt.Errorf("enrol: %w", err)
	}
	p.spent = p.credential.once
	return s, nil
}

// renew obtains the successor of a certificate that is still valid.
func (p *pando) renew(ctx context.Context, cur *snapshot) (*snapshot, error) {
	ctx, cancel := context.WithDeadline(ctx, cur.leaf().NotAfter)
	defer cancel()
	key, err := p.algorithm.newKey()
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	s, err := p.ask(ctx, call{path: renewPath, client: &cur.certificate, trust: cur.trust, key: key, want: cur.id})
	if err != nil {
		return nil, fmt.Errorf("renew: %w", err)
	}
	return s, nil
}

// keyFor makes a key for an enrolment, or returns the one that this join token was sent
// with before.
func (p *pando) keyFor(bearer string) (crypto.Signer, error) {
	if p.credential.once && bearer == p.token {
		if p.spent {
			return nil, errors.New("the join token is used; a new one is needed to enrol again")
		}
		return p.key, nil
	}
	key, err := p.algorithm.newKey()
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	if p.credential.once {
		p.token, p.key, p.spent = bearer, key, false
	}
	return key, nil
}

// ask asks the servers in turn until one gives a good certificate or refuses. A server that
// cannot be reached, fails, or answers nonsense does not stop the next from being asked.
func (p *pando) ask(ctx context.Context, c call) (*snapshot, error) {
	var err error
	if c.request.CSR, err = newCSR(c.key); err != nil {
		return nil, err
	}
	body, err := json.Marshal(c.request)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	var failure error
	for i := range p.servers {
		n := (p.preferred + i) % len(p.servers)
		s, err := p.exchange(ctx, p.servers[n], c, body)
		if err == nil {
			p.preferred = n
			return s, nil
		}
		if failure == nil {
			failure = err
		} else {
			failure = fmt.Errorf("%w; %w", failure, err)
		}
		if ctx.Err() != nil || refused(err) {
			break
		}
	}
	return nil, failure
}

// refused reports whether a server understood and said no. The others would say the same,
// and one that limits its callers is not to be worked round.
func refused(err error) bool {
	var refusal *ServerError
	return errors.As(err, &refusal) && refusal.Status >= 400 && refusal.Status < 500
}

// exchange asks one server over a connection of its own. Hours lie between two questions,
// and each renewal presents another certificate, so there is nothing to be kept.
func (p *pando) exchange(ctx context.Context, server string, c call, body []byte) (*snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, server+c.path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json, application/problem+json")
	if c.bearer != "" {
		request.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	transport := &http.Transport{
		DialContext: p.dial, TLSClientConfig: c.tls(), DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10,
	}
	response, err := transport.RoundTrip(request) // follows no redirect: the credential is for this server
	if err != nil {
		return nil, fmt.Errorf("%s: %w", server, err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	now := time.Now()
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: read answer: %w", server, err)
	case len(data) > maxAnswer:
		return nil, fmt.Errorf("%s: answer is over %d octets", server, maxAnswer)
	case response.StatusCode != http.StatusOK && response.StatusCode != http.StatusCreated:
		return nil, refusal(server, response, data, now)
	}
	s, err := received(data, c.trust, c.key, c.want, now)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", server, err)
	}
	return s, nil
}

// tls is the configuration for one connection to the CA. Go's own verification is replaced,
// not switched off: it compares host names, which say nothing here, while the identity of
// the CA's servers is a SPIFFE ID.
func (c call) tls() *tls.Config {
	config := &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, // VerifyConnection verifies
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
