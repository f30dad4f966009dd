package client

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"

	"github.com/pando-ca/pando/ca/spiffeid"
)

// ConnSecurity returns how a connection of a [Listener] or a [Dialer] is protected, and with
// [SecurityMTLS] who is at the other end, as the handshake has verified it. Connections that
// wrap one are looked through if they have a method NetConn, as those of crypto/tls have. ""
// is not known: it is no such connection, or its handshake has failed or not begun; for one that
// is under way it waits. Treat that as plaintext.
func ConnSecurity(conn net.Conn) (Security, Peer) {
	w := underneath(conn)
	if w == nil {
		return "", Peer{}
	}
	if w.security != SecurityMTLS {
		return w.security, Peer{}
	}
	leaf := w.peer.Load()
	if leaf == nil || !shaken(conn) {
		return "", Peer{}
	}
	id, err := spiffeid.FromCertificate(leaf)
	if err != nil {
		return "", Peer{} // it was let in, so there is one
	}
	return SecurityMTLS, Peer{ID: id, Certificate: leaf}
}

// shaken reports whether the handshake of a connection is over. The certificate of a peer is
// verified before the peer proves to have its key (RFC 8446, section 4.4.3).
func shaken(conn net.Conn) bool {
	for {
		switch c := conn.(type) {
		case *tls.Conn:
			return c.ConnectionState().HandshakeComplete
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			return false
		}
	}
}

// underneath returns the watched end of a connection; nil if it has none.
func underneath(conn net.Conn) *watched {
	for {
		switch c := conn.(type) {
		case *watched:
			return c
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			return nil
		}
	}
}

// connKey is the key of a context for the connection.
type connKey struct{}

// connInfo is what a context knows of the connection.
type connInfo struct {
	security Security
	peer     Peer
}

// ConnContext is for [net/http.Server.ConnContext], with a server that serves a [Listener].
// In its handlers [SecurityOf] and [PeerFrom] then say who calls, in HTTP/1.1 and HTTP/2.
func ConnContext(ctx context.Context, conn net.Conn) context.Context {
	security, peer := ConnSecurity(conn)
	return context.WithValue(ctx, connKey{}, connInfo{security, peer})
}

// SecurityOf returns how the connection of a context of [ConnContext] is protected. "" is
// not known, and to be treated as plaintext.
func SecurityOf(ctx context.Context) Security {
	info, _ := ctx.Value(connKey{}).(connInfo)
	return info.security
}

// PeerFrom returns who is at the other end of the connection of a context of [ConnContext];
// false unless it is in mutual TLS.
func PeerFrom(ctx context.Context) (Peer, bool) {
	info, _ := ctx.Value(connKey{}).(connInfo)
	return info.peer, info.security == SecurityMTLS
}

// RequireMTLS returns a handler that answers as next does to those who came in mutual TLS,
// and everybody else with 403 and a problem (RFC 9457) whose code is "mtls_required". The
// server needs [ConnContext]: without, it is not known how a request came, and that is
// refused too.
func RequireMTLS(next http.Handler) http.Handler {
	return RequirePeer(func(Peer) error { return nil }, next)
}

// RequirePeer is [RequireMTLS] for those whom authorize allows; the code for the others is
// "peer_not_allowed". With it the paths of one server may be for different peers. It panics
// if authorize is nil.
func RequirePeer(authorize Authorizer, next http.Handler) http.Handler {
	if authorize == nil {
		panic("pando client: nil Authorizer: say who may call, as with AuthorizeID")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, ok := PeerFrom(r.Context())
		if !ok {
			forbid(w, "mtls_required", "This resource is served over mutual TLS only.")
			return
		}
		if err := authorize(peer); err != nil {
			forbid(w, "peer_not_allowed", fmt.Sprintf("%s may not use this resource.", peer.ID))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// forbid refuses a request.
func forbid(w http.ResponseWriter, code, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store") // the same request may be allowed over another connection
	w.WriteHeader(http.StatusForbidden)
	_ = json.NewEncoder(w).Encode(struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Code   string `json:"code"`
		Detail string `json:"detail"`
	}{http.StatusText(http.StatusForbidden), http.StatusForbidden, code, detail})
}
