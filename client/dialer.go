package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"
)

// DialerConfig says whom a [Dialer] talks to, and how. In [ModeMutual] only Authorize is
// required, in the other modes nothing is.
type DialerConfig struct {
	// Name tells the dialers of a program apart, in metrics and in the rules of the CA:
	// [a-z0-9][a-z0-9._-]{0,62}; empty: "default".
	Name string

	// Mode is ModeMutual (empty means it too), ModeSimple or ModeDisabled. In ModeSimple the
	// server proves its host name, as on the web, and this side stays anonymous. In
	// ModeDisabled there is no TLS; it takes a rule of the CA with plaintext_dial, or an
	// override, as well.
	Mode Mode

	// AllowPlaintext lets a dialer in ModeMutual use plaintext while an emergency override
	// covers it, and only then. Nobody is authorized then.
	AllowPlaintext bool

	// Roots are what vouches for servers in ModeSimple; nil: those of the system.
	Roots *x509.CertPool

	// Authorize decides whether the peer is the one that is meant. It is asked in each
	// handshake in ModeMutual, and not again for a connection that is open. In other modes
	// there is no SPIFFE ID to decide on, and it must be nil.
	Authorize Authorizer

	// NextProtos are the application protocols (ALPN, RFC 7301) in order of preference. An
	// http.Transport speaks HTTP/2 with "h2", "http/1.1" and ForceAttemptHTTP2. None: there
	// is no negotiation.
	NextProtos []string

	// SessionCache keeps sessions to resume. A session that is resumed is verified like a
	// new one; for one whose certificates are of the past there is a full handshake. Do not
	// share one between modes. Nil: none is kept, and each connection has a full handshake.
	SessionCache tls.ClientSessionCache

	// MinVersion and MaxConnectionAge are as in [ListenerConfig]; in ModeSimple the former is
	// tls.VersionTLS12 if it is 0.
	MinVersion       uint16
	MaxConnectionAge time.Duration

	// DialContext opens the connections under TLS. Nil: a net.Dialer.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

// Dialer opens connections as its mode says: in mutual TLS unless the code names another. It
// closes those that are open once their peer, an authority above it or its root is not
// trusted any more, or once they are in plaintext and that is not allowed any more. It is
// made by [Source.Dialer] and safe for concurrent use.
type Dialer struct {
	source *Source
	cfg    DialerConfig
	name   string
	tls    *tls.Config // nil in ModeDisabled
}

// Dialer returns a dialer with the configuration of [Source.ClientTLS], whose connections
// are watched as those of [Source.Listener] are. It panics if cfg.Authorize is nil in
// ModeMutual or set in another, if the name or mode is none, and if cfg.MinVersion is no
// version that it may be: these are decisions that would be lost.
func (s *Source) Dialer(cfg DialerConfig) *Dialer {
	if cfg.Mode == "" {
		cfg.Mode = ModeMutual
	}
	d := &Dialer{source: s, cfg: cfg, name: nameOr(cfg.Name)}
	switch {
	case cfg.Mode == ModeMutual:
		d.tls = s.ClientTLS(cfg.Authorize)
		d.tls.MinVersion = minVersion(cfg.MinVersion)
	case cfg.Authorize != nil:
		panic("pando client: an Authorizer in mode " + string(cfg.Mode) + ", which would never be asked")
	case cfg.Mode == ModeSimple:
		d.tls = anonymousTLS(cfg.Roots)
		if cfg.MinVersion != 0 {
			d.tls.MinVersion = minVersion(cfg.MinVersion)
		}
	case cfg.Mode != ModeDisabled:
		panic(fmt.Sprintf("pando client: mode %q is none of a dialer", cfg.Mode))
	}
	if d.tls != nil {
		d.tls.NextProtos, d.tls.ClientSessionCache = cfg.NextProtos, cfg.SessionCache
	}
	if d.cfg.DialContext == nil {
		d.cfg.DialContext = (&net.Dialer{}).DialContext
	}
	return d
}

// anonymousTLS is the configuration of ModeSimple. There is no certificate in it that could
// be shown, whatever a server asks for: crypto/tls answers with an empty list.
func anonymousTLS(roots *x509.CertPool) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
}

// DialContext connects to an address; ctx bounds that and the handshake. It returns a
// *tls.Conn, or, where plaintext is used, a connection that is none. It is made for
// [net/http.Transport] DialTLSContext, with URLs of https in every mode.
//
// Plaintext is used in [ModeDisabled], and in [ModeMutual] with AllowPlaintext while an
// override covers the dialer: at once, not after TLS has failed. When it is not allowed any
// more, such connections are closed.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	denied := d.plaintext(time.Now())
	if denied != nil && d.tls == nil {
		return nil, denied
	}
	raw, err := d.cfg.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if denied == nil {
		return d.plaintextOver(raw)
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

// plaintextOver takes in a connection in plaintext.
func (d *Dialer) plaintextOver(raw net.Conn) (net.Conn, error) {
	w := &watched{Conn: raw, source: d.source, maxAge: d.cfg.MaxConnectionAge, security: SecurityPlaintext, refused: d.plaintext}
	if err := w.letIn(); err != nil {
		w.Close()
		return nil, err
	}
	d.count(w.security, nil)
	return w, nil
}

// Client makes the client's side of the handshake on a connection that somebody else has
// opened, and watches it like those of DialContext. serverName is for SNI and the sessions'
// cache alone, and may be empty; only in [ModeSimple] is it what the server must prove. It is
// always TLS, also during an override, and fails in [ModeDisabled]. After an error raw is
// closed.
func (d *Dialer) Client(ctx context.Context, raw net.Conn, serverName string) (*tls.Conn, error) {
	if d.tls == nil {
		return nil, errors.Join(fmt.Errorf("pando client: dialer %s has no TLS in mode %s", d.name, d.cfg.Mode), raw.Close())
	}
	w := &watched{Conn: raw, source: d.source, maxAge: d.cfg.MaxConnectionAge, security: SecurityMTLS}
	if d.cfg.Mode == ModeSimple {
		w.security = SecurityTLS
	}
	conn, begun := tls.Client(w, d.config(w, serverName)), time.Now()
	err := conn.HandshakeContext(ctx)
	d.source.shook(SideClient, raw.RemoteAddr(), err, time.Since(begun))
	d.count(w.security, err)
	if err != nil {
		w.Close()
		return nil, err
	}
	if d.cfg.Mode == ModeSimple {
		w.age()
	}
	return conn, nil
}

// config is the configuration of one connection.
func (d *Dialer) config(w *watched, serverName string) *tls.Config {
	own := d.tls.Clone()
	own.ServerName = serverName
	if d.cfg.Mode == ModeSimple {
		return own
	}
	own.VerifyConnection = w.verifier(x509.ExtKeyUsageServerAuth, d.cfg.Authorize)
	if own.ClientSessionCache != nil {
		d.source.cached(own)
	}
	return own
}

// count tells what became of a connection.
func (d *Dialer) count(security Security, err error) {
	c := Connection{Side: SideClient, Name: d.name, Mode: d.cfg.Mode, Security: security}
	if err != nil {
		c.Security, c.Rejected = "", rejection(err, time.Now())
	}
	d.source.metrics.Connection(c)
}
