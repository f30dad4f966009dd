package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pando-ca/pando/ca/policy"
)

const (
	maxSubject = 1024 // bytes; OpenID Connect Core section 2 allows 255, GitHub's can be longer
	maxTokenID = 256  // bytes

	// lastDate is the end of the year 9999: what comes after cannot be written in a
	// certificate, a database or a log.
	lastDate = 253402300799
)

// errClaims marks claims that are not one JSON object with distinct names.
var errClaims = errors.New("claims")

// claimSet makes the parser of golang-jwt decode claims by decodeObject.
type claimSet struct{ jwt.MapClaims }

// UnmarshalJSON implements [json.Unmarshaler].
func (c *claimSet) UnmarshalJSON(data []byte) error {
	object, err := decodeObject(data)
	if err != nil {
		return fmt.Errorf("%w: %w", errClaims, err)
	}
	c.MapClaims = object
	return nil
}

// caller maps the claims of a token whose signature was verified with a key of i to the caller
// that they prove at now.
func (i *Issuer) caller(claims map[string]any, now time.Time) (policy.Caller, error) {
	exp, err := i.checkTimes(claims, now)
	if err != nil {
		return policy.Caller{}, err
	}
	if err := i.checkAudience(claims["aud"]); err != nil {
		return policy.Caller{}, err
	}
	sub, ok := claims["sub"].(string)
	if !ok || !printable(sub, maxSubject) {
		return policy.Caller{}, refuse(ReasonJWTClaims, "the JWT's sub is not a printable string of 1 to %d bytes", maxSubject)
	}
	jti, err := i.tokenID(claims)
	if err != nil {
		return policy.Caller{}, err
	}
	return policy.Caller{
		Subject: i.name + " " + sub, Role: i.role(claims),
		Issuer: i.name, Claims: claims, TokenID: jti,
		// How long a used token has to be remembered. We accept it until exp plus the leeway,
		// and the clock of another replica may be behind by as much again.
		ExpiresAt: exp.Add(2 * i.leeway),
	}, nil
}

// checkTimes judges exp, nbf and iat (RFC 7519, section 4.1) at now, and returns exp. The
// maximum lifetime is held against now as well as against iat, which a token may lack.
func (i *Issuer) checkTimes(claims map[string]any, now time.Time) (exp time.Time, err error) {
	exp, hasExp, err := numericDate(claims, "exp")
	if err != nil {
		return exp, err
	}
	nbf, hasNbf, err := numericDate(claims, "nbf")
	if err != nil {
		return exp, err
	}
	iat, hasIat, err := numericDate(claims, "iat")
	if err != nil {
		return exp, err
	}
	switch {
	case !hasExp:
		err = refuse(ReasonJWTClaims, "the JWT has no exp")
	case !now.Before(exp.Add(i.leeway)):
		err = refuse(ReasonJWTExpired, "the JWT has expired")
	case exp.Sub(now) > i.maxLifetime+i.leeway, hasIat && exp.Sub(iat) > i.maxLifetime:
		err = refuse(ReasonJWTLifetime, "the JWT's lifetime exceeds the %s that its issuer is allowed", i.maxLifetime)
	case hasNbf && now.Before(nbf.Add(-i.leeway)):
		err = refuse(ReasonJWTNotYetValid, "the JWT is not valid yet")
	case hasIat && now.Before(iat.Add(-i.leeway)):
		err = refuse(ReasonJWTNotYetValid, "the JWT was issued in the future")
	}
	return exp, err
}

// numericDate reads a NumericDate (RFC 7519, section 2) in whole seconds.
func numericDate(claims map[string]any, name string) (date time.Time, present bool, err error) {
	value, ok := claims[name]
	if !ok {
		return time.Time{}, false, nil
	}
	number, _ := value.(json.Number)
	seconds, err := number.Float64()
	if err != nil || !(seconds >= 0 && seconds <= lastDate) {
		return time.Time{}, false, refuse(ReasonJWTClaims, "the JWT's %s is not a date", name)
	}
	return time.Unix(int64(math.Floor(seconds)), 0), true, nil
}

// checkAudience judges aud, a string or an array of strings (RFC 7519, section 4.1.3).
func (i *Issuer) checkAudience(aud any) error {
	list, ok := aud.([]any)
	if !ok {
		list = []any{aud}
	}
	meant := false
	for _, value := range list {
		text, ok := value.(string)
		if !ok {
			return refuse(ReasonJWTClaims, "the JWT's aud is neither a string nor an array of strings")
		}
		meant = meant || slices.Contains(i.audiences, text)
	}
	if !meant {
		return refuse(ReasonJWTAudience, "the JWT is not meant for this server")
	}
	return nil
}

// tokenID returns the jti by which a second use is noticed, "" if further uses are allowed.
func (i *Issuer) tokenID(claims map[string]any) (string, error) {
	if i.reusable {
		return "", nil
	}
	jti, ok := claims["jti"].(string)
	if !ok || !printable(jti, maxTokenID) {
		return "", refuse(ReasonJWTClaims, "the JWT's jti is not a printable string of 1 to %d bytes", maxTokenID)
	}
	return jti, nil
}

// printable reports whether a text may stand in a record and a log: it is not empty, not
// longer than limit, and holds neither control characters nor what was not UTF-8.
func printable(text string, limit int) bool {
	return text != "" && len(text) <= limit && !strings.ContainsFunc(text, func(r rune) bool {
		return r == utf8.RuneError || !unicode.IsPrint(r)
	})
}

// role returns the administrator's role that the claims give. What is not exactly the name of
// a role gives none.
func (i *Issuer) role(claims map[string]any) policy.Role {
	if len(i.roleClaim) == 0 {
		return policy.RoleNone
	}
	value, _ := i.roleClaim.Lookup(claims)
	text, _ := value.(string)
	if role := policy.Role(text); role.Valid() {
		return role
	}
	return policy.RoleNone
}
