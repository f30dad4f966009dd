package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// reasonCase is a handshake that fails, and what each side makes of it.
type reasonCase struct {
	client, server     *tls.Config
	ofClient, ofServer Reason
}

func reasonCases() map[string]reasonCase {
	pki, stranger := newPKI("example.org"), newPKI("example.org")
	good := pki.identity(leafTemplate("spiffe://example.org/web", time.Hour))
	serverTLS := func(cert tls.Certificate) *tls.Config { return fixed(rootsOf(1, pki), cert).ServerTLS(anyone) }
	clientTLS := func(cert tls.Certificate) *tls.Config { return fixed(rootsOf(1, pki), cert).ClientTLS(anyone) }
	early := leafTemplate("spiffe://example.org/web", time.Hour)
	early.NotBefore = time.Now().Add(time.Minute)
	late := leafTemplate("spiffe://example.org/web", time.Hour)
	late.NotAfter = time.Now().Add(-time.Minute)
	two := leafTemplate("spiffe://example.org/web", time.Hour)
	two.URIs = append(two.URIs, mustID("spiffe://example.org/db").URL())
	nobody := fixed(rootsOf(1, pki), good).ServerTLS(AuthorizeID())
	old := clientTLS(good)
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	http2, other := serverTLS(good), clientTLS(good)
	http2.NextProtos, other.NextProtos = []string{"h2"}, []string{"x"}
	return map[string]reasonCase{
		"a server of another root":             {client: clientTLS(good), server: serverTLS(stranger.identity(leafTemplate("spiffe://example.org/web", time.Hour))), ofClient: ReasonUnknownAuthority, ofServer: ReasonBadIdentity},
		"a client of another root":             {client: clientTLS(stranger.identity(leafTemplate("spiffe://example.org/web", time.Hour))), server: serverTLS(good), ofClient: ReasonBadIdentity, ofServer: ReasonUnknownAuthority},
		"a server that has expired":            {client: clientTLS(good), server: static(pki.identity(late)), ofClient: ReasonExpired, ofServer: ReasonBadIdentity},
		"a server whose clock is ahead":        {client: clientTLS(good), server: static(pki.identity(early)), ofClient: ReasonNotYetValid, ofServer: ReasonBadIdentity},
		"a server with two identities":         {client: clientTLS(good), server: static(pki.identity(two)), ofClient: ReasonBadIdentity, ofServer: ReasonBadIdentity},
		"a client that is not allowed":         {client: clientTLS(good), server: nobody, ofClient: ReasonBadIdentity, ofServer: ReasonBadIdentity},
		"a client without a certificate":       {client: &tls.Config{InsecureSkipVerify: true}, server: serverTLS(good), ofClient: ReasonNoClientCert, ofServer: ReasonNoClientCert},
		"a client that speaks TLS 1.2":         {client: old, server: serverTLS(good), ofClient: ReasonVersionOrCipher, ofServer: ReasonVersionOrCipher},
		"a client of another protocol":         {client: other, server: http2, ofClient: ReasonALPN, ofServer: ReasonALPN},
		"a client that expired on this side":   {client: clientTLS(pki.identity(late)), server: serverTLS(good), ofClient: ReasonExpired, ofServer: ReasonBadIdentity},
		"a server that expired on its own":     {client: clientTLS(good), server: serverTLS(pki.identity(late)), ofClient: ReasonOther, ofServer: ReasonExpired},
		"a client that knows a foreign domain": {client: fixed(must(newTrust(mustID("spiffe://example.net/x").TrustDomain(), []*x509.Certificate{newPKI("example.net").root})), good).ClientTLS(anyone), server: serverTLS(good), ofClient: ReasonBadIdentity, ofServer: ReasonBadIdentity},
	}
}

// static is a server that shows a certificate whatever it is.
func static(cert tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{cert}}
}

func TestReasonsOfRealHandshakes(t *testing.T) {
	for name, c := range reasonCases() {
		t.Run(name, func(t *testing.T) {
			_, clientErr, serverErr := handshake(c.client, c.server)
			if clientErr == nil || serverErr == nil {
				t.Fatalf("no error: %v, %v", clientErr, serverErr)
			}
			if got := ReasonOf(clientErr, time.Now()); got != c.ofClient {
				t.Errorf("client: %s, want %s: %v", got, c.ofClient, clientErr)
			}
			if got := ReasonOf(serverErr, time.Now()); got != c.ofServer {
				t.Errorf("server: %s, want %s: %v", got, c.ofServer, serverErr)
			}
		})
	}
}

func TestReasonsOfOtherErrors(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want Reason
	}{
		"a deadline":             {fmt.Errorf("read: %w", os.ErrDeadlineExceeded), ReasonTimeout},
		"a context that ended":   {context.DeadlineExceeded, ReasonTimeout},
		"a network timeout":      {&net.DNSError{IsTimeout: true}, ReasonTimeout},
		"an end":                 {io.EOF, ReasonEOF},
		"an end in the middle":   {io.ErrUnexpectedEOF, ReasonEOF},
		"a closed connection":    {net.ErrClosed, ReasonEOF},
		"a revocation here":      {fmt.Errorf("peer: %w", ErrRevoked), ReasonRevoked},
		"a revoked certificate":  {&net.OpError{Op: "remote error", Err: tls.AlertError(44)}, ReasonRevoked},
		"an alert of its own":    {&net.OpError{Op: "remote error", Err: tls.AlertError(80)}, ReasonOther},
		"an alert of the future": {&net.OpError{Op: "remote error", Err: fmt.Errorf("tls: something new")}, ReasonOther},
		"anything else":          {fmt.Errorf("no route to host"), ReasonOther},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ReasonOf(test.err, time.Now()); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

func TestVerifyPeer(t *testing.T) {
	pki := newPKI("example.org")
	chain := func(template *x509.Certificate) []*x509.Certificate {
		return pki.sign(template, newTestKey().Public())
	}
	now := time.Now()
	good := chain(leafTemplate("spiffe://example.org/web", time.Hour))
	for name, test := range map[string]struct {
		chain, roots []*x509.Certificate
		at           time.Time
		want         string // the ID, or the reason of the refusal
	}{
		"a good certificate": {good, []*x509.Certificate{pki.root}, now, "spiffe://example.org/web"},
		"a day later":        {good, []*x509.Certificate{pki.root}, now.Add(24 * time.Hour), string(ReasonExpired)},
		"a day before":       {good, []*x509.Certificate{pki.root}, now.Add(-24 * time.Hour), string(ReasonNotYetValid)},
		"under another root": {good, []*x509.Certificate{newPKI("example.org").root}, now, string(ReasonUnknownAuthority)},
		"no chain":           {nil, []*x509.Certificate{pki.root}, now, string(ReasonOther)},
		"no roots":           {good, nil, now, string(ReasonOther)},
		"a leaf as root":     {good, good[:1], now, string(ReasonOther)},
	} {
		t.Run(name, func(t *testing.T) {
			id, err := VerifyPeer(test.chain, test.roots, x509.ExtKeyUsageClientAuth, test.at)
			got := id.String()
			if err != nil {
				got = string(ReasonOf(err, test.at))
			}
			if got != test.want {
				t.Errorf("%s, want %s: %v", got, test.want, err)
			}
		})
	}
}

func TestSuccessHasNoReason(t *testing.T) {
	if reason := ReasonOf(nil, time.Now()); reason != "" {
		t.Errorf("reason %q", reason)
	}
}
