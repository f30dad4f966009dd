package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"time"
)

// DialerConfig says whom a [Dialer] talks to. Only Authorize is required.
type DialerConfig struct {
	// Authorize decides whether the peer is the one that is meant. It is asked in each
	// handshake, and not again for a connection that is open.
	Authorize Authorizer

	// NextProtos are the application protocols (ALPN, RFC 7301) in order of preference. An
	// http.Transport speaks HTTP/2 with "h2", "http/1.1" and ForceAttemptHTTP2. None: there
	// is no negotiation.
	NextProtos []string

	// SessionCache keeps sessions to resume. A session that is resumed is verified like a
	// new one; for one whose certificates are of the past there is a full handshake. Nil:
	// for each connection.
	SessionCache tls.ClientSessionCache

	// MinVersion and MaxConnectionAge are as in [ListenerConfig].
	MinVersion       uint16
	MaxConnectionAge time.Duration

	// DialContext opens the connections under TLS. Nil: a net.Dialer.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

// Dialer opens connections in mutual TLS, and closes those that are open once their peer,
// an authority above it or its root is not trusted any more. It is made by [Source.Dialer]
// and safe for concurrent use.
type Dialer struct {
	source *Source
	cfg    DialerConfig
	tls    *tls.Config
}

// Dialer returns a dialer with the configuration of [Source.ClientTLS], whose connections
// are watched as those of [Source.Listener] are. It panics if cfg.Authorize is nil, or
// cfg.MinVersion no version that it may be.
func (s *Source) Dialer(cfg DialerConfig) *Dialer {
	d := &Dialer{source: s, cfg: cfg, tls: s.ClientTLS(cfg.Authorize)}
	d.tls.NextProtos, d.tls.ClientSessionCache, d.tls.MinVersion = cfg.NextProtos, cfg.SessionCache, minVersion(cfg.MinVersion)
	if d.cfg.DialContext == nil {
		d.cfg.DialContext = (&net.Dialer{}).DialContext
	}
	return d
}

// DialContext connects to an address and returns a *tls.Conn after its handshake; ctx
// bounds both. It is made for [net/http.Transport] DialTLSContext.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	raw, err := d.cfg.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = "" // a Unix socket, say
	}
	conn, err := d.Client(ctx, raw, host)
	if err != nil {
		return nil, fmt.Errorf("TLS to %s: %w", address, err)
	}
	return conn, nil
}

// Client makes the client's side of the handshake on a connection that somebody else has
// opened, and watches it like those of DialContext. serverName is for SNI and the sessions'
// cache alone, and may be empty. After an error raw is closed.
func (d *Dialer) Client(ctx context.Context, raw net.Conn, serverName string) (*tls.Conn, error) {
	w := &watched{Conn: raw, source: d.source, maxAge: d.cfg.MaxConnectionAge}
	conn := tls.Client(w, d.config(w, serverName))
	if err := conn.HandshakeContext(ctx); err != nil {
		w.Close()
		return nil, err
	}
	return conn, nil
}

// config is the configuration of one connection.
func (d *Dialer) config(w *watched, serverName string) *tls.Config {
	own := d.tls.Clone()
	own.ServerName = serverName
	own.VerifyConnection = w.verifier(x509.ExtKeyUsageServerAuth, d.cfg.Authorize)
	if own.ClientSessionCache != nil {
		d.source.cached(own)
	}
	return own
}
