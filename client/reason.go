package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// Reason is why a handshake failed, as one of a closed set: it is made to be a label of a
// metric, and to tell a person where to look.
type Reason string

// The reasons.
const (
	ReasonExpired          Reason = "expired"           // a certificate has expired, on either side
	ReasonNotYetValid      Reason = "not_yet_valid"     // a certificate begins later than now: compare the clocks
	ReasonUnknownAuthority Reason = "unknown_authority" // no chain to a root that is known: a bundle is missing or old
	ReasonBadIdentity      Reason = "bad_identity"      // the SPIFFE ID is not one, of another trust domain, or not allowed
	ReasonNoClientCert     Reason = "no_client_cert"    // the client has shown no certificate
	ReasonRevoked          Reason = "revoked"           // the certificate, or an authority above it, is revoked
	ReasonVersionOrCipher  Reason = "version_or_cipher" // the two sides share no version of TLS, cipher suite or key exchange
	ReasonALPN             Reason = "alpn"              // they share no application protocol
	ReasonTimeout          Reason = "timeout"           // one side said nothing for too long
	ReasonEOF              Reason = "eof"               // the connection was closed or reset, as by a port scan
	ReasonOther            Reason = "other"
)

// Reasons lists all reasons.
func Reasons() []Reason {
	return []Reason{
		ReasonExpired, ReasonNotYetValid, ReasonUnknownAuthority, ReasonBadIdentity, ReasonNoClientCert, ReasonRevoked,
		ReasonVersionOrCipher, ReasonALPN, ReasonTimeout, ReasonEOF, ReasonOther,
	}
}

// identityError is what is wrong with what a certificate says of its holder.
type identityError struct{ err error }

func (e *identityError) Error() string { return e.err.Error() }
func (e *identityError) Unwrap() error { return e.err }

// ReasonOf classifies the error of a handshake, of this side's making or told by the other
// side in an alert (RFC 8446, section 6.2). now is when it failed. That of nil is "".
func ReasonOf(err error, now time.Time) Reason {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var identity *identityError
	var timeout net.Error
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ErrNotReady):
		return ReasonOther
	case errors.Is(err, ErrExpired): // of this side; what else is in it is why it was not renewed
		return ReasonExpired
	case errors.As(err, &invalid):
		return invalidReason(invalid, now)
	case errors.As(err, &unknown):
		return ReasonUnknownAuthority
	case errors.Is(err, ErrRevoked):
		return ReasonRevoked
	case errors.As(err, &identity), errors.Is(err, errNotAllowed):
		return ReasonBadIdentity
	case errors.Is(err, errNoExtendedMasterSecret):
		return ReasonVersionOrCipher
	}
	if reason, told := alertReason(err); told {
		return reason
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return ReasonTimeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), isReset(err):
		return ReasonEOF
	}
	return textReason(err)
}

func invalidReason(err x509.CertificateInvalidError, now time.Time) Reason {
	switch {
	case err.Reason != x509.Expired:
		return ReasonUnknownAuthority // the chain is not one that may vouch for the leaf
	case err.Cert != nil && err.Cert.NotBefore.After(now):
		return ReasonNotYetValid
	}
	return ReasonExpired
}

// alertReason is the reason that the other side gave. crypto/tls keeps the type of the alert of
// a TCP connection to itself; its text is that of the exported type for QUIC.
func alertReason(err error) (reason Reason, told bool) {
	var remote *net.OpError
	if !errors.As(err, &remote) || remote.Op != "remote error" {
		return "", false
	}
	for code := range 256 {
		if alert := tls.AlertError(code); remote.Err.Error() == alert.Error() {
			return reasonOfAlert(alert), true
		}
	}
	return ReasonOther, true
}

// reasonOfAlert reads what the other side says of a handshake that it ends.
func reasonOfAlert(alert tls.AlertError) Reason {
	switch alert {
	case 40, 70, 71: // handshake_failure, protocol_version, insufficient_security
		return ReasonVersionOrCipher
	case 42, 46, 49: // bad_certificate, certificate_unknown, access_denied: whatever its verifier did not like
		return ReasonBadIdentity
	case 44: // certificate_revoked
		return ReasonRevoked
	case 45: // certificate_expired
		return ReasonExpired
	case 48: // unknown_ca
		return ReasonUnknownAuthority
	case 116: // certificate_required
		return ReasonNoClientCert
	case 120: // no_application_protocol
		return ReasonALPN
	}
	return ReasonOther
}

// textReason reads those errors of crypto/tls on this side that have no type. A test makes each
// of them happen, so that other words of a later Go do not pass unseen.
func textReason(err error) Reason {
	text := err.Error()
	switch {
	case strings.Contains(text, "client didn't provide a certificate"):
		return ReasonNoClientCert
	case strings.Contains(text, "offered only unsupported versions"), strings.Contains(text, "no cipher suite supported"),
		strings.Contains(text, "no key exchanges supported"):
		return ReasonVersionOrCipher
	case strings.Contains(text, "unsupported application protocols"):
		return ReasonALPN
	}
	return ReasonOther
}

// isReset reports whether the other side has cut the connection.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNABORTED)
}
