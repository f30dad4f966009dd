package client

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"
)

// ServerTLS returns a configuration for the accepting side of mutual TLS 1.3. Each
// handshake has the certificate of that moment, and the peer must present one that chains
// to the roots of that moment and that authorize allows. It panics if authorize is nil:
// whom a service talks to is a decision that nobody else can make.
//
// The configuration is the caller's to add to (NextProtos, say) before first use, but
// ClientAuth, GetCertificate and VerifyConnection are what makes it safe. Session tickets
// are left on: a resumed session is verified like a new one, and one that would be refused
// since its certificates are of the past is not resumed, but there is a full handshake. The
// keys of tickets are those of this configuration, also in its clones. A connection that is
// open is not looked at again; see [Source.Listener] for that.
//
// For peers that cannot do better, MinVersion may be set to [tls.VersionTLS12]. The cipher
// suites of the configuration are those that are good in TLS 1.2 too; whoever sets others
// decides that. A client whose TLS 1.2 has no extended master secret (RFC 7627) is refused.
func (s *Source) ServerTLS(authorize Authorizer) *tls.Config {
	return s.ticketed(&tls.Config{
		MinVersion: tls.VersionTLS13, CipherSuites: suites12(), CurvePreferences: keyExchanges(),
		// A certificate is required here and verified in VerifyConnection, which runs for
		// resumed sessions too and looks up the roots itself. Go's own verification would
		// need a new configuration per handshake to follow them.
		ClientAuth: tls.RequireAnyClientCert,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if err := boundHello(hello); err != nil {
				return nil, err
			}
			return s.Certificate()
		},
		VerifyConnection: s.verifier(x509.ExtKeyUsageClientAuth, authorize),
	})
}

// ClientTLS returns a configuration for the dialing side of mutual TLS 1.3, as
// [Source.ServerTLS] does for the other; it panics likewise if authorize is nil.
//
// The peer is recognised by its SPIFFE ID. Its host name is sent (SNI) but not compared with
// the certificate: authorize must therefore name the service that is meant, not merely
// somebody in the trust domain. InsecureSkipVerify switches off only Go's own verification,
// which would insist on the host name; VerifyConnection verifies chain, validity, usage and
// identity instead, and runs in every handshake. Clearing either breaks the configuration.
//
// A connection that is open is not looked at again; see [Source.Dialer] for that.
//
// There is no session cache unless the caller sets one; a session that is resumed from it
// is verified like a new one, and fails if the certificates that it began with are of the
// past, which those of a [Dialer] do not. MinVersion is as in ServerTLS, and a session of TLS 1.2
// without the extended master secret is not resumed. Renegotiation is off, and must stay so.
func (s *Source) ClientTLS(authorize Authorizer) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, CipherSuites: suites12(), CurvePreferences: keyExchanges(),
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection verifies
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return s.Certificate()
		},
		VerifyConnection: s.verifier(x509.ExtKeyUsageServerAuth, authorize),
	}
}

// verifier returns the check of both ends of a connection before any data flows on it. The
// own end is looked at too: in a resumed session nobody asks for its certificate.
func (s *Source) verifier(usage x509.ExtKeyUsage, authorize Authorizer) func(tls.ConnectionState) error {
	if authorize == nil {
		panic("pando client: nil Authorizer: say who may be talked to, as with AuthorizeID")
	}
	return func(state tls.ConnectionState) error {
		_, err := s.admit(&state, usage, authorize)
		s.shook(sideOf(usage), nil, err, 0)
		return err
	}
}

// admit decides whether the two ends of a connection may talk, and returns the chain of the
// peer's certificate that counts.
func (s *Source) admit(state *tls.ConnectionState, usage x509.ExtKeyUsage, authorize Authorizer) ([]*x509.Certificate, error) {
	if err := boundSession(state); err != nil {
		return nil, err
	}
	now, certs := time.Now(), state.PeerCertificates
	cur := s.snapshot.Load()
	if err := s.live(cur, now); err != nil {
		return nil, err
	}
	id, chain, err := cur.judge().verify(certs, usage, now)
	if err != nil {
		return nil, fmt.Errorf("pando client: peer: %w", err)
	}
	if err := s.allows(authorize, Peer{ID: id, Certificate: certs[0]}); err != nil {
		return nil, fmt.Errorf("pando client: peer %s: %w", id, err)
	}
	return chain, nil
}
