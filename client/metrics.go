package client

import (
	"crypto/x509"
	"net"
	"time"
)

// Metrics is told what happens in a [Source], for whoever counts it. The methods are called
// concurrently, during handshakes too: they must not block and must not call the Source. A
// panic in one is logged.
type Metrics interface {
	// Renewal is told of each try to obtain a certificate: nil, or why there is none. It is
	// called where it was tried, one after the other.
	Renewal(err error)
	// Handshake is told of each TLS handshake that ended.
	Handshake(h Handshake)
	// Connection is told of each connection of a [Listener] or a [Dialer] that was accepted,
	// dialed or rejected. With ServerTLS and ClientTLS alone nobody sees connections.
	Connection(c Connection)
}

// Side is an end of a connection.
type Side string

// The sides.
const (
	SideServer Side = "server" // accepted here
	SideClient Side = "client" // dialed here
)

// Handshake is a TLS handshake that ended. With ServerTLS, ClientTLS and [Listener.Server] it is
// over, for whoever counts, when the peer's certificate was judged: what fails after that, such as
// a peer that has not the key, counts as a success.
type Handshake struct {
	Side     Side
	Reason   Reason        // why it failed; "": it succeeded
	Duration time.Duration // 0: not known, as with ServerTLS and ClientTLS alone
}

// Connection is a connection that was accepted, dialed or rejected.
type Connection struct {
	Side     Side
	Name     string    // of the listener or dialer; "default" if it was given none
	Mode     Mode      // that was in force: of a listener strict, permissive or disabled
	Security Security  // "": it was rejected
	Rejected Rejection // why; "": it was not
}

// Security is how a connection is protected. "" is not known, and to be treated as plaintext.
type Security string

// The kinds of security.
const (
	SecurityMTLS      Security = "mtls"      // both ends have proven a SPIFFE ID
	SecurityTLS       Security = "tls"       // the server has proven a host name, as on the web
	SecurityPlaintext Security = "plaintext" // nothing is
)

// Rejection is why a connection was not let in, as one of a closed set.
type Rejection string

// The rejections.
const (
	RejectedPlaintext Rejection = "plaintext" // it is not TLS, on a strict listener
	RejectedTLS       Rejection = "tls"       // it is TLS, on a disabled listener
	RejectedHandshake Rejection = "handshake" // the handshake failed, or it ended before one
	RejectedTimeout   Rejection = "timeout"   // it was too slow to say who it is
	RejectedOverload  Rejection = "overload"  // it was the slowest when too many were about to say so
)

// Rejections lists all rejections.
func Rejections() []Rejection {
	return []Rejection{RejectedPlaintext, RejectedTLS, RejectedHandshake, RejectedTimeout, RejectedOverload}
}

// nobody is the Metrics of a Source that nobody counts.
type nobody struct{}

var _ Metrics = nobody{}

func (nobody) Renewal(error)         {}
func (nobody) Handshake(Handshake)   {}
func (nobody) Connection(Connection) {}

// shook tells of a handshake that ended after so long, with whom: the one place that sees
// all of them. remote and took are nil and 0 where they are not known.
func (s *Source) shook(side Side, remote net.Addr, err error, took time.Duration) {
	h := Handshake{Side: side, Duration: took}
	if err != nil {
		now := time.Now()
		h.Reason = ReasonOf(err, now)
		s.handshakes.failed(now, string(side), remote, err)
	}
	s.metrics.Handshake(h)
}

// sideOf is the side that wants the peer's certificate to be for usage.
func sideOf(usage x509.ExtKeyUsage) Side {
	if usage == x509.ExtKeyUsageClientAuth {
		return SideServer
	}
	return SideClient
}
