// Package pandogrpc gives gRPC servers and clients the identity of a [client.Source]:
//
//	server := grpc.NewServer(grpc.Creds(pandogrpc.ServerCredentials(source, client.AuthorizeID(frontend))))
//
//	conn, err := grpc.NewClient("dns:///db.internal:8443",
//		grpc.WithTransportCredentials(pandogrpc.ClientCredentials(source, client.AuthorizeID(db))))
//
// Each handshake has the certificate and the roots of that moment; connections that are open
// are closed when their peer, or an authority above it, is not trusted any more, and gRPC opens
// new ones. In a handler, [PeerID] says who calls.
package pandogrpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/client"
)

// protocol is HTTP/2 in ALPN (RFC 9113, section 3.2). gRPC speaks nothing else.
const protocol = "h2"

// errSide is the error of credentials that are used on the other side.
var errSide = errors.New("pandogrpc: credentials are for the other side of a connection")

// ServerCredentials is the accepting side of mutual TLS. It panics if authorize is nil.
func ServerCredentials(source *client.Source, authorize client.Authorizer) credentials.TransportCredentials {
	return &server{listener: source.Listener(nil, client.ListenerConfig{Authorize: authorize, NextProtos: []string{protocol}})}
}

// ListenerCredentials is the accepting side as the mode of a [client.Listener] says, whatever it
// is at that moment: in mode permissive calls come in mutual TLS and in plaintext, and [PeerID]
// fails for the latter. The listener has "h2" among its NextProtos, and usually nothing
// underneath:
//
//	listener := source.Listener(nil, client.ListenerConfig{Mode: client.ModePolicy, Authorize: …, NextProtos: []string{"h2"}})
//	server := grpc.NewServer(grpc.Creds(pandogrpc.ListenerCredentials(listener)))
//
// It must be closed when the server has stopped.
func ListenerCredentials(listener *client.Listener) credentials.TransportCredentials {
	return &server{listener: listener}
}

// ClientCredentials is the dialing side of mutual TLS. The server is recognised by its SPIFFE
// ID: the host name of the target is sent and not verified. It panics if authorize is nil.
func ClientCredentials(source *client.Source, authorize client.Authorizer) credentials.TransportCredentials {
	return &dialing{dialer: source.Dialer(client.DialerConfig{Authorize: authorize, NextProtos: []string{protocol}})}
}

// PeerID returns the SPIFFE ID of the other side of the call that ctx belongs to, as the
// handshake has verified it: the caller in a handler, the server in a client that asked for the
// peer ([google.golang.org/grpc.Peer]).
func PeerID(ctx context.Context) (spiffeid.ID, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return spiffeid.ID{}, errors.New("pandogrpc: the context is not that of a call")
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return spiffeid.ID{}, errors.New("pandogrpc: the call did not come over TLS")
	}
	return client.PeerID(&info.State)
}

// server is the credentials of a server.
type server struct{ listener *client.Listener }

var _ credentials.TransportCredentials = (*server)(nil)

// plaintext is what is known of the other side of a connection without TLS: nothing.
type plaintext struct{ credentials.CommonAuthInfo }

// AuthType implements credentials.AuthInfo.
func (plaintext) AuthType() string { return "insecure" }

// ServerHandshake implements credentials.TransportCredentials. The listener bounds it.
func (s *server) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, err := s.listener.Handshake(raw)
	if err != nil {
		return nil, nil, err
	}
	secure, ok := conn.(*tls.Conn)
	if !ok {
		return conn, plaintext{credentials.CommonAuthInfo{SecurityLevel: credentials.NoSecurity}}, nil
	}
	return authenticated(secure)
}

func (s *server) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errSide
}

func (s *server) Info() credentials.ProtocolInfo          { return info("") }
func (s *server) Clone() credentials.TransportCredentials { return &server{s.listener} }
func (s *server) OverrideServerName(string) error         { return errSide }

// dialing is the credentials of a client.
type dialing struct {
	dialer *client.Dialer
	name   string // sent instead of the target's host name
}

var _ credentials.TransportCredentials = (*dialing)(nil)

// ClientHandshake implements credentials.TransportCredentials.
func (d *dialing) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	name := d.name
	if name == "" {
		name = authority
		if host, _, err := net.SplitHostPort(authority); err == nil {
			name = host
		}
	}
	conn, err := d.dialer.Client(ctx, raw, name)
	if err != nil {
		return nil, nil, err
	}
	return authenticated(conn)
}

func (d *dialing) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errSide
}

func (d *dialing) Info() credentials.ProtocolInfo          { return info(d.name) }
func (d *dialing) Clone() credentials.TransportCredentials { return &dialing{d.dialer, d.name} }

// OverrideServerName implements credentials.TransportCredentials. The name is sent, and not
// verified.
func (d *dialing) OverrideServerName(name string) error {
	d.name = name
	return nil
}

func info(name string) credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls", ServerName: name} //nolint:staticcheck // what this side sends is for people to see
}

// authenticated is a connection after its handshake, and what is known of the other side.
func authenticated(conn *tls.Conn) (net.Conn, credentials.AuthInfo, error) {
	state := conn.ConnectionState()
	if state.NegotiatedProtocol != protocol {
		return nil, nil, errors.Join(fmt.Errorf("pandogrpc: the peer does not speak HTTP/2: protocol %q", state.NegotiatedProtocol), conn.Close())
	}
	return conn, credentials.TLSInfo{
		State: state, SPIFFEID: state.PeerCertificates[0].URIs[0], // one, as the handshake has verified
		CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
	}, nil
}
