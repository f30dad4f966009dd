package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pando-ca/pando/ca/policy"
)

const (
	// maxKeyID bounds a kid. Known issuers use at most 64 characters.
	maxKeyID = 256

	// maxHeader bounds the encoded header, which holds little besides alg, typ and kid.
	maxHeader = 4 << 10
)

// jwt judges a JWT (RFC 7519, section 7.2; RFC 8725). The signature is verified before any
// claim is acted on; until then iss only says whose keys to try.
func (a *Authenticator) jwt(ctx context.Context, text string, now time.Time) (policy.Caller, error) {
	if len(text) > MaxBearerSize {
		return policy.Caller{}, refuse(ReasonMalformed, "the JWT is longer than %d bytes", MaxBearerSize)
	}
	if strings.ContainsAny(text, "\r\n") {
		// The parser's decoder passes over them, and one token would have many spellings.
		return policy.Caller{}, refuse(ReasonMalformed, "the JWT has a line end in it")
	}
	var claims claimSet
	var issuer *Issuer
	_, err := a.parser.ParseWithClaims(text, &claims, func(token *jwt.Token) (any, error) {
		kid, err := readHeader(token.Raw)
		if err != nil {
			return nil, err
		}
		alg := token.Method.Alg()
		if issuer, err = a.issuerOf(claims.MapClaims, alg); err != nil {
			return nil, err
		}
		return issuer.keys.find(ctx, kid, alg, now)
	})
	if err != nil {
		return policy.Caller{}, parseError(err, issuer)
	}
	return issuer.caller(claims.MapClaims, now)
}

// newParser returns the parser of all JWTs. Its own validation of claims is off: it reads a
// clock of its own, and it accepts an exp a century ahead and an empty sub. See claims.go.
func newParser() *jwt.Parser {
	return jwt.NewParser(jwt.WithValidMethods(algorithms()), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())
}

// issuerOf returns the issuer that claims to have signed, if it may sign with alg.
func (a *Authenticator) issuerOf(claims map[string]any, alg string) (*Issuer, error) {
	iss, _ := claims["iss"].(string)
	issuer, ok := a.issuers[iss]
	switch {
	case !ok:
		return nil, refuse(ReasonJWTIssuer, "the JWT's issuer is not configured")
	case !issuer.allows(alg):
		return nil, refuse(ReasonJWTAlgorithm, "the JWT's algorithm is not allowed for its issuer")
	}
	return issuer, nil
}

// parseError translates what the parser refuses. It never shows the parser's own words, which
// repeat parts of the token. Without an issuer, the parser had not come to the signature.
func parseError(err error, issuer *Issuer) error {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, errClaims):
		return &Error{Reason: ReasonJWTClaims, Message: "the JWT's claims are not one JSON object with distinct names", Err: err}
	case errors.Is(err, jwt.ErrTokenMalformed):
		return &Error{Reason: ReasonMalformed, Message: "the bearer credential is neither a join token nor a JWT", Err: err}
	case issuer != nil:
		return &Error{Reason: ReasonJWTSignature, Message: "the JWT's signature does not verify", Err: err}
	}
	return &Error{Reason: ReasonJWTAlgorithm, Message: "the JWT's algorithm is not allowed", Err: err}
}

// readHeader judges the header of a JWT and returns its key ID, "" if there is none.
func readHeader(text string) (kid string, err error) {
	header, err := decodeHeader(text)
	if err != nil {
		return "", err
	}
	if err := checkHeader(header); err != nil {
		return "", err
	}
	value, ok := header["kid"]
	if !ok {
		return "", nil
	}
	kid, ok = value.(string)
	if !ok || kid == "" || len(kid) > maxKeyID {
		return "", refuse(ReasonJWTHeader, "the JWT's kid is not a string of 1 to %d bytes", maxKeyID)
	}
	return kid, nil
}

// decodeHeader reads the header once more than the parser did, which lets a repeated name pass.
func decodeHeader(text string) (map[string]any, error) {
	encoded, _, _ := strings.Cut(text, ".")
	if len(encoded) > maxHeader {
		return nil, refuse(ReasonJWTHeader, "the JWT's header is too long")
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil, refuse(ReasonMalformed, "the JWT is malformed")
	}
	header, err := decodeObject(data)
	if err != nil {
		return nil, &Error{Reason: ReasonJWTHeader, Message: "the JWT's header is not one JSON object with distinct names", Err: err}
	}
	return header, nil
}

// checkHeader refuses what RFC 7515 section 4.1 allows a token to say and nobody should believe.
func checkHeader(header map[string]any) error {
	if _, ok := header["crit"]; ok {
		// We understand no extension, and crit says that one must be understood (section 4.1.11).
		return refuse(ReasonJWTHeader, "the JWT's header has crit")
	}
	for _, name := range [...]string{"jku", "x5u", "jwk", "x5c"} {
		if _, ok := header[name]; ok {
			return refuse(ReasonJWTHeader, "the JWT's header has %s: keys are taken from the configured issuer only", name)
		}
	}
	return checkType(header)
}

// checkType refuses tokens that were made for another purpose (RFC 8725, section 3.11).
func checkType(header map[string]any) error {
	value, ok := header["typ"]
	if !ok {
		return nil
	}
	typ, _ := value.(string)
	for _, known := range [...]string{"JWT", "JOSE", "at+jwt"} {
		if strings.EqualFold(typ, known) {
			return nil
		}
	}
	return refuse(ReasonJWTHeader, "the JWT's typ is none of JWT, JOSE, at+jwt")
}
