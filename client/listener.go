package client

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"time"
)

// ListenerConfig says what a [Listener] accepts. Only Authorize is required.
type ListenerConfig struct {
	// Authorize decides which peers may connect. It is asked in each handshake, and not
	// again for a connection that is open.
	Authorize Authorizer

	// NextProtos are the application protocols (ALPN, RFC 7301) in order of preference. An
	// http.Server speaks HTTP/2 with "h2", "http/1.1". None: there is no negotiation.
	NextProtos []string

	// MinVersion is the least version of TLS: tls.VersionTLS12, for peers that cannot do
	// better, or tls.VersionTLS13. 0: the latter.
	MinVersion uint16

	// MaxConnectionAge is when a connection is closed, give or take a tenth, counted from
	// its handshake. It cuts off whatever is going on, so it is a bound for protocols that
	// cannot end connections in their own way. 0: never.
	MaxConnectionAge time.Duration
}

// Listener accepts connections in mutual TLS, and closes those that are open once their
// peer, an authority above it or its root is not trusted any more. It is made by
// [Source.Listener] and safe for concurrent use.
type Listener struct {
	net.Listener
	source *Source
	cfg    ListenerConfig
	tls    *tls.Config
}

var _ net.Listener = (*Listener)(nil)

// Listener returns a listener over inner with the configuration of [Source.ServerTLS],
// whose connections are watched: a peer that is revoked, or whose root is withdrawn, is cut
// off within a second of the CA's word. It panics if cfg.Authorize is nil, or
// cfg.MinVersion no version that it may be. To close it closes inner, which may be nil for a
// listener of which only Server is used. It serves http.Server.Serve (not ServeTLS) and
// anything else that takes a net.Listener.
//
// When the Source is closed, connections are not checked any more, and stay open.
func (s *Source) Listener(inner net.Listener, cfg ListenerConfig) *Listener {
	l := &Listener{Listener: inner, source: s, cfg: cfg, tls: s.ServerTLS(cfg.Authorize)}
	l.tls.NextProtos, l.tls.MinVersion = cfg.NextProtos, minVersion(cfg.MinVersion)
	base := l.tls.Clone()
	l.tls.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		w, ok := hello.Conn.(*watched)
		if !ok {
			return nil, net.ErrClosed // nobody can call it with another connection
		}
		own := base.Clone()
		own.VerifyConnection = w.verifier(x509.ExtKeyUsageClientAuth, cfg.Authorize)
		return own, nil
	}
	return l
}

// Accept waits for the next connection. What it returns is a *tls.Conn whose handshake
// takes place with the first read or write, or HandshakeContext, so that a slow peer keeps
// nobody else waiting. Errors that wrap [ErrRevoked] say that the connection was closed
// because its peer was revoked.
func (l *Listener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.Server(raw), nil
}

// Server returns the server's side of a connection that somebody else has accepted, as
// [crypto/tls.Server] does; it is watched like those of Accept.
func (l *Listener) Server(raw net.Conn) *tls.Conn {
	return tls.Server(&watched{Conn: raw, source: l.source, maxAge: l.cfg.MaxConnectionAge}, l.tls)
}
