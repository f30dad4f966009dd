package client

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/pando-ca/pando/ca/spiffeid"
)

func TestAuthorizers(t *testing.T) {
	td := must(spiffeid.ParseTrustDomain("example.org"))
	for name, test := range map[string]struct {
		authorize Authorizer
		allows    []string
		refuses   []string
	}{
		"exact IDs": {
			AuthorizeID(mustID("spiffe://example.org/a"), mustID("spiffe://example.org/b/c")),
			[]string{"spiffe://example.org/a", "spiffe://example.org/b/c"},
			[]string{"spiffe://example.org/ab", "spiffe://example.org/b", "spiffe://example.org/a/b", "spiffe://evil.org/a", "spiffe://example.org/A"},
		},
		"no IDs": {AuthorizeID(), nil, []string{"spiffe://example.org/a"}},
		"the zero ID": {
			AuthorizeID(spiffeid.ID{}), nil, []string{"spiffe://example.org/a"},
		},
		"a trust domain": {
			AuthorizeTrustDomain(td),
			[]string{"spiffe://example.org/a", "spiffe://example.org/a/b"},
			[]string{"spiffe://example.org.evil.org/a", "spiffe://evil.org/a"},
		},
		"the zero trust domain": {AuthorizeTrustDomain(spiffeid.TrustDomain{}), nil, []string{"spiffe://example.org/a"}},
		"a path with a wildcard": {
			AuthorizePath(td, "/ns/*/sa/web"),
			[]string{"spiffe://example.org/ns/prod/sa/web", "spiffe://example.org/ns/a.b/sa/web"},
			[]string{"spiffe://example.org/ns/sa/web", "spiffe://example.org/ns/a/b/sa/web", "spiffe://example.org/ns/prod/sa/web2", "spiffe://example.org/ns/prod/sa/web/x", "spiffe://evil.org/ns/prod/sa/web"},
		},
		"a path without one": {
			AuthorizePath(td, "/web"), []string{"spiffe://example.org/web"}, []string{"spiffe://example.org/webx", "spiffe://example.org/web/x"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, id := range test.allows {
				if err := test.authorize(Peer{ID: mustID(id)}); err != nil {
					t.Errorf("%s: %v", id, err)
				}
			}
			for _, id := range test.refuses {
				if err := test.authorize(Peer{ID: mustID(id)}); err == nil {
					t.Errorf("%s is allowed", id)
				}
			}
		})
	}
}

func TestPathPatternsThatPanic(t *testing.T) {
	td := must(spiffeid.ParseTrustDomain("example.org"))
	for _, pattern := range []string{"", "/", "web", "/a//b", "/a/", "/a*", "/**", "/..", "/a b"} {
		if got := panicOf(func() { AuthorizePath(td, pattern) }); !strings.Contains(got, "path pattern") {
			t.Errorf("pattern %q: panic %q", pattern, got)
		}
	}
}

func TestPeerID(t *testing.T) {
	p := newPKI("example.org")
	cert := p.identity(leafTemplate("spiffe://example.org/web", time.Hour))
	id, err := PeerID(&tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert.Leaf, p.issuer}})
	if err != nil || id.String() != "spiffe://example.org/web" {
		t.Errorf("%s, %v", id, err)
	}
	for name, state := range map[string]*tls.ConnectionState{
		"plaintext": nil, "no certificate": {},
		"no SPIFFE ID": {PeerCertificates: []*x509.Certificate{{}}},
	} {
		if id, err := PeerID(state); err == nil {
			t.Errorf("%s: %s", name, id)
		}
	}
}
