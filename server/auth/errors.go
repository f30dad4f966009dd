package auth

import (
	"fmt"
	"time"

	"github.com/pando-ca/pando/ca/policy"
)

// Reason says why credentials were refused. The set is closed: reasons are metric labels.
type Reason string

// The reasons.
const (
	ReasonNoCredentials Reason = "no_credentials" // none were shown
	ReasonRateLimited   Reason = "rate_limited"   // too many failures from this address
	ReasonUnavailable   Reason = "unavailable"    // they could not be judged now
	ReasonMalformed     Reason = "malformed"      // neither a join token nor a JWT
	ReasonCertificate   Reason = "certificate"    // the client certificate is not accepted

	ReasonTokenUnknown Reason = "token_unknown" // there is no such join token
	ReasonTokenUsed    Reason = "token_used"    // used too long ago to ask for its answer again
	ReasonTokenExpired Reason = "token_expired" // never used, and past its time

	ReasonJWTHeader      Reason = "jwt_header"        // crit, typ, kid, or a key of its own
	ReasonJWTAlgorithm   Reason = "jwt_algorithm"     // not allowed, or it does not fit the key
	ReasonJWTIssuer      Reason = "jwt_issuer"        // iss is not configured
	ReasonJWTKey         Reason = "jwt_key"           // the issuer has no such key
	ReasonJWTSignature   Reason = "jwt_signature"     // does not verify
	ReasonJWTAudience    Reason = "jwt_audience"      // meant for somebody else
	ReasonJWTExpired     Reason = "jwt_expired"       // exp has passed
	ReasonJWTNotYetValid Reason = "jwt_not_yet_valid" // nbf or iat lies in the future
	ReasonJWTLifetime    Reason = "jwt_lifetime"      // exp is further ahead than allowed
	ReasonJWTClaims      Reason = "jwt_claims"        // a claim is missing or of the wrong type
)

// Reasons lists every reason.
func Reasons() []Reason {
	return []Reason{
		ReasonNoCredentials, ReasonRateLimited, ReasonUnavailable, ReasonMalformed, ReasonCertificate,
		ReasonTokenUnknown, ReasonTokenUsed, ReasonTokenExpired,
		ReasonJWTHeader, ReasonJWTAlgorithm, ReasonJWTIssuer, ReasonJWTKey, ReasonJWTSignature,
		ReasonJWTAudience, ReasonJWTExpired, ReasonJWTNotYetValid, ReasonJWTLifetime, ReasonJWTClaims,
	}
}

// Error says why a request is not authenticated. Message is for the caller and repeats nothing
// of the credential.
type Error struct {
	Method     policy.Method // of the credential; empty with ReasonNoCredentials
	Reason     Reason
	Message    string
	RetryAfter time.Duration // with ReasonRateLimited and ReasonUnavailable
	Err        error         // the cause, for the log; never shown
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %s: %v", e.Reason, e.Message, e.Err)
	}
	return fmt.Sprintf("%s: %s", e.Reason, e.Message)
}

func (e *Error) Unwrap() error { return e.Err }

func refuse(reason Reason, format string, args ...any) *Error {
	return &Error{Reason: reason, Message: fmt.Sprintf(format, args...)}
}
