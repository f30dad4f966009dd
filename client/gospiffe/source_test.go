package gospiffe_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/client"
	"github.com/pando-ca/pando/client/clienttest"
	"github.com/pando-ca/pando/client/gospiffe"
)

func TestGoSpiffeTalksMutualTLSOnAnIdentityOfPando(t *testing.T) {
	source := clienttest.New(t, clienttest.Options{}).Open(t, "spiffe://example.org/web")
	identity := gospiffe.New(source)
	own := spiffeid.RequireFromString(source.ID().String())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			peer, err := x509svid.IDFromCert(r.TLS.PeerCertificates[0])
			if err != nil {
				t.Error(err)
			}
			_, _ = io.WriteString(w, peer.String())
		}),
		TLSConfig: tlsconfig.MTLSServerConfig(identity, identity, tlsconfig.AuthorizeID(own)),
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.ServeTLS(listener, "", "") }()
	defer func() { _ = server.Close(); <-done }()

	transport := &http.Transport{TLSClientConfig: tlsconfig.MTLSClientConfig(identity, identity, tlsconfig.AuthorizeID(own))}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get("https://" + listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != own.String() {
		t.Errorf("the server saw %q, %v, want %s", body, err, own)
	}
	other := tlsconfig.AuthorizeID(spiffeid.RequireFromString("spiffe://example.org/other"))
	if conn, err := tls.Dial("tcp", listener.Addr().String(), tlsconfig.MTLSClientConfig(identity, identity, other)); err == nil {
		_ = conn.Close()
		t.Error("a server that is not authorised is accepted")
	}
}

func TestTheSVIDVerifiesUnderTheBundle(t *testing.T) {
	identity := gospiffe.New(clienttest.New(t, clienttest.Options{}).Open(t, "spiffe://example.org/web"))
	svid, err := identity.GetX509SVID()
	if err != nil {
		t.Fatal(err)
	}
	if id, _, err := x509svid.Verify(svid.Certificates, identity); err != nil || id != svid.ID {
		t.Errorf("Verify = %v, %v, want %v", id, err, svid.ID)
	}
	if _, err := identity.GetX509BundleForTrustDomain(spiffeid.RequireTrustDomainFromString("example.com")); err == nil || !strings.Contains(err.Error(), "example.com") {
		t.Errorf("bundle of another trust domain: error %v", err)
	}
}

// fixed is an Identity that does not change.
type fixed struct {
	certificate *tls.Certificate
	err         error
	roots       []*x509.Certificate
}

func (f fixed) Certificate() (*tls.Certificate, error) { return f.certificate, f.err }
func (f fixed) Roots() []*x509.Certificate             { return f.roots }

func TestTroubleIsNotHidden(t *testing.T) {
	pki := catest.New(t, catest.Options{})
	good := pki.Issue(t, "spiffe://example.org/web", catest.Leaf{})
	keyless, garbled := good, good
	keyless.PrivateKey = "no key"
	garbled.Certificate = [][]byte{{0x30}}
	for name, test := range map[string]struct {
		identity fixed
		want     string
	}{
		"an identity that has expired":  {fixed{err: client.ErrExpired}, client.ErrExpired.Error()},
		"a key that cannot sign":        {fixed{certificate: &keyless}, "cannot sign"},
		"a certificate that is garbled": {fixed{certificate: &garbled}, "certificate 0"},
	} {
		t.Run(name, func(t *testing.T) {
			svid, err := gospiffe.New(test.identity).GetX509SVID()
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("GetX509SVID = %v, %v, want %q", svid, err, test.want)
			}
		})
	}
	if _, err := gospiffe.New(fixed{err: client.ErrExpired}).GetX509SVID(); !errors.Is(err, client.ErrExpired) {
		t.Errorf("error %v does not wrap ErrExpired", err)
	}
}
