package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// What bounds a connection if nobody says it, as http.DefaultTransport has it.
const (
	dialTimeout = 30 * time.Second // to connect and shake hands
	idleTimeout = 90 * time.Second // without a request
)

var errPlain = errors.New("pando client: a URL with http:, or a proxy, where there is mutual TLS only")

// TransportConfig says what a [Transport] does. Only Dialer.Authorize is required.
type TransportConfig struct {
	// Dialer makes the connections. Without NextProtos they speak HTTP/2 with servers that
	// do, and else HTTP/1.1.
	Dialer DialerConfig

	// Settings are the limits and time-outs of the connections; TLSHandshakeTimeout bounds
	// connecting too. What it says of dialing, protocols, TLS and proxies is not used. Nil:
	// those of [http.DefaultTransport].
	Settings *http.Transport
}

// Transport is an [http.RoundTripper] in mutual TLS over a [Dialer], which keeps and watches
// its connections. It is made by [Source.Transport] and safe for concurrent use.
//
// Connections are replaced without a request being cut off: when this side has a new
// certificate, and when half of what was left of the server's has passed, requests go over
// new ones, and the old ones are closed when the requests on them have ended (in HTTP/2, at
// the latest IdleConnTimeout after that). So both sides are soon known by the certificates
// that they have now, and none depends on a root that is about to be withdrawn.
//
// It talks as its Dialer does, which is in mutual TLS or not at all unless its mode says
// otherwise: URLs with http: are refused, redirects to them too, and no proxy is used, whatever the environment says. Who has to go through one makes the
// tunnel in DialerConfig.DialContext.
type Transport struct {
	source   *Source
	dialer   *Dialer
	settings *http.Transport // cloned for each pool

	mu   sync.Mutex // of those who replace the pool
	pool atomic.Pointer[pool]
}

var _ http.RoundTripper = (*Transport)(nil)

// pool is connections that are replaced together.
type pool struct {
	*http.Transport
	leaf  *x509.Certificate         // that this side shows on them
	until atomic.Pointer[time.Time] // when to replace them; nil: there is none yet
}

// HTTPClient returns an http.Client over [Source.Transport] for the servers that authorize
// allows; it panics if authorize is nil. It has no time-out: set one, or give requests a
// context that ends.
func (s *Source) HTTPClient(authorize Authorizer) *http.Client {
	return &http.Client{Transport: s.Transport(TransportConfig{Dialer: DialerConfig{Authorize: authorize}})}
}

// Transport returns a Transport, for an http.Client or a reverse proxy. It panics as
// [Source.Dialer] does.
func (s *Source) Transport(cfg TransportConfig) *Transport {
	if cfg.Dialer.NextProtos == nil {
		cfg.Dialer.NextProtos = []string{"h2", "http/1.1"}
	}
	t := &Transport{source: s, dialer: s.Dialer(cfg.Dialer), settings: transportSettings(cfg.Settings)}
	t.settings.ForceAttemptHTTP2 = slices.Contains(cfg.Dialer.NextProtos, "h2")
	return t
}

// transportSettings is a transport that dials nowhere.
func transportSettings(given *http.Transport) *http.Transport {
	if given == nil {
		given = &http.Transport{MaxIdleConns: 100, ExpectContinueTimeout: time.Second} // as http.DefaultTransport
	}
	t := given.Clone()
	t.Proxy, t.TLSClientConfig, t.TLSNextProto, t.Protocols = nil, nil, nil, nil
	t.Dial, t.DialTLS = nil, nil //nolint:staticcheck // or they would be used
	t.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, errPlain }
	if t.TLSHandshakeTimeout == 0 {
		t.TLSHandshakeTimeout = dialTimeout
	}
	if t.IdleConnTimeout == 0 {
		t.IdleConnTimeout = idleTimeout // a pool that was replaced must come to an end
	}
	return t
}

// RoundTrip makes one request, as [http.Transport.RoundTrip] does.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	return t.current(time.Now()).RoundTrip(r)
}

// CloseIdleConnections closes the connections on which there is no request, as
// [http.Transport.CloseIdleConnections] does.
func (t *Transport) CloseIdleConnections() {
	if p := t.pool.Load(); p != nil {
		p.CloseIdleConnections()
	}
}

// current returns the pool for a request that is made now.
func (t *Transport) current(now time.Time) *pool {
	if p := t.pool.Load(); p.serves(t.source, now) {
		return p
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.pool.Load()
	if old.serves(t.source, now) {
		return old
	}
	next := &pool{Transport: t.settings.Clone(), leaf: t.source.snapshot.Load().leaf()}
	next.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, t.settings.TLSHandshakeTimeout)
		defer cancel()
		conn, err := t.dialer.DialContext(ctx, network, address)
		if err == nil {
			next.opened(conn, time.Now())
		}
		return conn, err
	}
	t.pool.Store(next)
	if old != nil {
		old.CloseIdleConnections() // and the others when they are idle
	}
	return next
}

// serves reports whether requests may go over the connections of a pool.
func (p *pool) serves(s *Source, now time.Time) bool {
	if p == nil || p.leaf != s.snapshot.Load().leaf() {
		return false
	}
	until := p.until.Load()
	return until == nil || now.Before(*until)
}

// opened takes in that there is another connection.
func (p *pool) opened(conn net.Conn, now time.Time) {
	secure, ok := conn.(*tls.Conn)
	if !ok {
		return
	}
	certs := secure.ConnectionState().PeerCertificates
	if len(certs) == 0 {
		return
	}
	until := now.Add(certs[0].NotAfter.Sub(now) / 2)
	for {
		known := p.until.Load()
		if known != nil && !until.Before(*known) || p.until.CompareAndSwap(known, &until) {
			return
		}
	}
}

// RenewConnections returns a handler that answers as next does, and asks each client whose
// certificate has expired since its connection began to come back over a new one: HTTP/1.1
// with "Connection: close", HTTP/2 with a GOAWAY. No request is cut off by that. Thus every
// client shows the certificate that it has now, and none depends on a root that is
// withdrawn, which is when a [Listener] cuts connections.
func RenewConnections(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 && time.Now().After(r.TLS.PeerCertificates[0].NotAfter) {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
