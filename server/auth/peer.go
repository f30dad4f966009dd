package auth

import (
	"crypto/x509"
	"time"

	"github.com/pando-ca/pando/ca/policy"
)

// peer judges a client certificate. Failures are not counted against the address: a
// certificate cannot be guessed, and a fleet whose certificates have expired must not keep
// its own neighbours from enrolling anew.
func (a *Authenticator) peer(chain []*x509.Certificate, now time.Time) (policy.Caller, error) {
	peer, err := a.peers.Peer(chain, now)
	if err != nil {
		return policy.Caller{}, &Error{
			Reason: ReasonCertificate, Message: certificateMessage(chain[0], now), Err: err,
		}
	}
	return policy.Caller{
		Subject: peer.ID.String(), Role: peer.Role, ID: peer.ID, Serial: peer.Serial, Fingerprint: peer.Fingerprint,
	}, nil
}

// certificateMessage names the two faults that a holder can see in the certificate and mend.
func certificateMessage(leaf *x509.Certificate, now time.Time) string {
	switch {
	case now.After(leaf.NotAfter):
		return "the client certificate has expired"
	case now.Before(leaf.NotBefore):
		return "the client certificate is not valid yet"
	}
	return "the client certificate is not accepted"
}
