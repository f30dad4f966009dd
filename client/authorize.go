package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pando-ca/pando/ca/spiffeid"
)

// Peer is the other side of a connection, after its certificate was verified.
type Peer struct {
	ID          spiffeid.ID
	Certificate *x509.Certificate // shared: do not change it
}

// Authorizer decides whether a verified peer may be talked to: nil if it may, else why not.
// It runs in every handshake, concurrently, resumed ones included. Any function of this
// shape is one; it must not block.
type Authorizer func(peer Peer) error

// errNotAllowed is what the authorizers of this package answer.
var errNotAllowed = errors.New("not among those allowed here")

// AuthorizeID allows exactly the peers with one of these IDs. Without any it allows nobody.
func AuthorizeID(ids ...spiffeid.ID) Authorizer {
	ids = slices.Clone(ids)
	return func(peer Peer) error {
		if !slices.Contains(ids, peer.ID) {
			return errNotAllowed
		}
		return nil
	}
}

// AuthorizeTrustDomain allows every workload of the trust domain. That is every identity
// the CA ever gives, so it is seldom what a service means.
func AuthorizeTrustDomain(td spiffeid.TrustDomain) Authorizer {
	return func(peer Peer) error {
		if !peer.ID.MemberOf(td) {
			return errNotAllowed
		}
		return nil
	}
}

// AuthorizePath allows the peers of the trust domain whose path has the form of pattern, in
// which the segment "*" stands for exactly one segment: "/ns/prod/sa/*" allows
// "/ns/prod/sa/web" and neither "/ns/prod/sa" nor "/ns/prod/sa/web/x". It panics on a
// pattern that no path can have, as [net/http.ServeMux.Handle] does: patterns are written
// by programmers.
func AuthorizePath(td spiffeid.TrustDomain, pattern string) Authorizer {
	rest, ok := strings.CutPrefix(pattern, "/")
	want := strings.Split(rest, "/")
	for _, segment := range want {
		if !ok || segment != "*" && spiffeid.ValidSegment(segment) != nil {
			panic(fmt.Sprintf("pando client: path pattern %q", pattern))
		}
	}
	return func(peer Peer) error {
		if !peer.ID.MemberOf(td) || !matchSegments(want, peer.ID.Path()) {
			return errNotAllowed
		}
		return nil
	}
}

func matchSegments(want []string, path string) bool {
	have := strings.Split(strings.TrimPrefix(path, "/"), "/")
	return slices.EqualFunc(want, have, func(w, h string) bool { return w == "*" || w == h })
}

// PeerID returns the SPIFFE ID of the other side of a connection that was made with
// [Source.ServerTLS] or [Source.ClientTLS], such as the TLS field of an HTTP request. It
// reads what was verified in the handshake and verifies nothing itself. With a [Listener]
// prefer [PeerFrom] or [ConnSecurity], which know that it was verified.
func PeerID(state *tls.ConnectionState) (spiffeid.ID, error) {
	if state == nil || len(state.PeerCertificates) == 0 {
		return spiffeid.ID{}, errors.New("pando client: the connection has no peer certificate")
	}
	return spiffeid.FromCertificate(state.PeerCertificates[0])
}
