package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// ListenerConfig says what a [Listener] accepts. Only Authorize is required.
type ListenerConfig struct {
	// Name tells the listeners of a program apart, in metrics and in the rules of the CA:
	// [a-z0-9][a-z0-9._-]{0,62}; empty: "default".
	Name string

	// Mode is what is let in; empty: [ModeStrict]. Only in [ModePolicy] has the CA a say.
	Mode Mode

	// Authorize decides which peers may connect. It is asked in each handshake, and not
	// again for a connection that is open; nor for one in plaintext, of whose peer nothing
	// is known.
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

// Listener accepts connections in mutual TLS, and, if its mode says so, in plaintext. It
// closes those that are open once their peer, an authority above it or its root is not
// trusted any more, or once they are in plaintext and the mode does not allow that any more.
// It is made by [Source.Listener] and safe for concurrent use.
//
// In every mode it waits for the first octets of the peer: TLS and plaintext are told apart
// by these. In protocols where the server speaks first (SMTP, MySQL) a client in plaintext
// waits too, so that it is never let in.
type Listener struct {
	inner    net.Listener
	source   *Source
	cfg      ListenerConfig
	name     string
	tls      *tls.Config
	acceptor *acceptor
	since    time.Time
	coded    Mode // guarded by mu of the Source's modes

	lastMTLS, lastPlaintext atomic.Int64 // in nanoseconds since 1970; 0: never
}

var _ net.Listener = (*Listener)(nil)

// Listener returns a listener over inner with the configuration of [Source.ServerTLS],
// whose connections are watched: a peer that is revoked, or whose root is withdrawn, is cut
// off within a second of the CA's word. It panics if cfg.Authorize is nil, or a name, a mode
// or cfg.MinVersion is none that it may be. It serves http.Server.Serve (not ServeTLS) and
// anything else that takes a net.Listener.
//
// It must be closed, which closes inner, too. Inner may be nil for a listener of which only
// Server and Handshake are used; Accept then says that it is closed.
//
// When the Source is closed, connections are not checked any more, and stay open; overrides
// end all the same.
func (s *Source) Listener(inner net.Listener, cfg ListenerConfig) *Listener {
	l := &Listener{
		inner: inner, source: s, cfg: cfg, name: nameOr(cfg.Name), tls: s.ServerTLS(cfg.Authorize),
		acceptor: newAcceptor(), since: time.Now(), coded: cfg.Mode,
	}
	if inner == nil {
		l.inner = nowhere{}
	}
	if l.coded == "" {
		l.coded = ModeStrict
	}
	if err := l.coded.forListener(); err != nil {
		panic(err.Error())
	}
	l.tls.NextProtos, l.tls.MinVersion = cfg.NextProtos, minVersion(cfg.MinVersion)
	base := l.tls.Clone()
	l.tls.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		w, ok := hello.Conn.(*watched)
		if !ok {
			return nil, net.ErrClosed // nobody can call it with another connection
		}
		if l.verdict(time.Now()).mode == ModeDisabled {
			return nil, errOnlyPlain
		}
		own := base.Clone()
		own.VerifyConnection = w.verifier(x509.ExtKeyUsageClientAuth, cfg.Authorize)
		return own, nil
	}
	s.opened(l, l.since)
	return l
}

// nowhere is what is underneath a listener that accepts nothing by itself.
type nowhere struct{}

func (nowhere) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (nowhere) Close() error              { return nil }
func (nowhere) Addr() net.Addr            { return nowhere{} }
func (nowhere) Network() string           { return "none" }
func (nowhere) String() string            { return "none" }

// SetMode changes the mode that the code names, from the next connection on. Plaintext
// connections that are open are closed when the new mode does not allow them. Those in mutual
// TLS stay in every mode: in [ModeDisabled] no new ones are let in.
func (l *Listener) SetMode(mode Mode) error {
	if err := mode.forListener(); err != nil {
		return err
	}
	m := &l.source.modes
	m.mu.Lock()
	l.coded = mode
	m.mu.Unlock()
	l.source.settle(time.Now())
	return nil
}

// Server returns the server's side of a connection that somebody else has accepted, as
// [crypto/tls.Server] does; it is watched like those of Accept. It is TLS in every mode, and
// fails in [ModeDisabled]. Its handshake is counted if it comes as far as a certificate; see
// Handshake for one that is always.
func (l *Listener) Server(raw net.Conn) *tls.Conn {
	w := l.watch(raw)
	w.shook = func(err error) { l.count(w, greeting{mode: l.verdict(time.Now()).mode, err: err, shook: true}) }
	return tls.Server(w, l.tls)
}

func (l *Listener) watch(raw net.Conn) *watched {
	return &watched{Conn: raw, source: l.source, maxAge: l.cfg.MaxConnectionAge, security: SecurityMTLS}
}

// Handshake does with a connection that somebody else has accepted what Accept does: it
// returns it after its handshake, if the mode lets it in. After an error raw is closed.
func (l *Listener) Handshake(raw net.Conn) (net.Conn, error) {
	w := l.watch(raw)
	leave := l.acceptor.enter(w)
	g := l.greet(w)
	if !leave() && g.err == nil {
		g.err = w.told(net.ErrClosed)
	}
	l.count(w, g)
	if g.err != nil {
		w.Close()
		return nil, fmt.Errorf("pando client: listener %s: %w", l.name, g.err)
	}
	return g.conn, nil
}

// greeting is how a connection was received.
type greeting struct {
	conn  net.Conn      // if it is let in
	err   error         // why it is not
	mode  Mode          // that was in force
	shook bool          // there was a handshake, or one was waited for
	took  time.Duration // 0: not known
}

// greet waits for what a connection is, and makes its handshake if it is to have one. TLS
// that fails is never anything else. An Authorizer that panics has refused: this goroutine is
// none that the program could guard.
func (l *Listener) greet(w *watched) (g greeting) {
	isTLS, err := w.ahead.sniff(w.Conn)
	now := time.Now()
	g = greeting{mode: l.verdict(now).mode, err: w.told(err)}
	defer func() {
		if cause := recover(); cause != nil {
			g.err, g.shook = fmt.Errorf("panic: %v", cause), true
			l.source.log.Error("panic in a handshake", "listener", l.name, "error", g.err, "stack", string(debug.Stack()))
		}
	}()
	switch {
	case err != nil:
		g.shook = g.mode != ModeDisabled
	case isTLS && g.mode == ModeDisabled:
		g.err = errOnlyPlain
	case isTLS:
		conn := tls.Server(w, l.tls)
		g.conn, g.shook, g.err = conn, true, conn.Handshake() //nolint:noctx // greetTimeout bounds it
		g.took = time.Since(now)
	default:
		w.security, w.refused = SecurityPlaintext, l.plaintext
		if g.conn, g.err = w, w.letIn(); g.err != nil && w.ahead.isHTTP() {
			w.explain()
		}
	}
	return g
}

// plaintext returns why plaintext is not allowed at now; nil if it is.
func (l *Listener) plaintext(now time.Time) error {
	if l.verdict(now).mode == ModeStrict {
		return fmt.Errorf("%w: %w", errOnlyTLS, ErrPlaintext)
	}
	return nil
}

// count tells what became of a connection.
func (l *Listener) count(w *watched, g greeting) {
	s, now := l.source, time.Now()
	if g.shook {
		s.shook(SideServer, w.RemoteAddr(), g.err, g.took)
	}
	c := Connection{Side: SideServer, Name: l.name, Mode: g.mode, Rejected: rejection(g.err, now)}
	switch {
	case g.err != nil:
		s.log.Debug("connection rejected", "listener", l.name, "remote", w.RemoteAddr(), "reason", c.Rejected, "error", g.err)
	case w.security == SecurityPlaintext:
		c.Security = SecurityPlaintext
		l.lastPlaintext.Store(now.UnixNano())
	default:
		c.Security = SecurityMTLS
		l.lastMTLS.Store(now.UnixNano())
	}
	s.metrics.Connection(c)
}

// rejection classifies why a connection was not let in; "" if it was.
func rejection(err error, now time.Time) Rejection {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, errOnlyTLS):
		return RejectedPlaintext
	case errors.Is(err, errOnlyPlain):
		return RejectedTLS
	case errors.Is(err, errOverload):
		return RejectedOverload
	case ReasonOf(err, now) == ReasonTimeout:
		return RejectedTimeout
	}
	return RejectedHandshake
}

// status is the state of the listener in the mode that is in force.
func (l *Listener) status(v verdict) ListenerStatus {
	st := ListenerStatus{
		Name: l.name, Mode: v.mode, From: v.from, Since: l.since,
		LastMTLS: instant(&l.lastMTLS), LastPlaintext: instant(&l.lastPlaintext),
	}
	if v.override != nil {
		st.OverrideExpires, st.OverrideReason = v.override.ends.Round(0), v.override.reason
	}
	return st
}

func instant(nanoseconds *atomic.Int64) time.Time {
	if n := nanoseconds.Load(); n != 0 {
		return time.Unix(0, n)
	}
	return time.Time{}
}
