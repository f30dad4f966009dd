package auth

import (
	"strings"

	"github.com/pando-ca/pando/ca/policy"
)

// MaxBearerSize is the most bytes of a bearer credential. Tokens of Kubernetes and of GitHub
// Actions are under 2 KiB; those with long lists of groups reach 8 KiB.
const MaxBearerSize = 16 << 10

// BearerToken returns the bearer credential in the values of an Authorization header field, or
// of the metadata key of the same name, and "" if there is none. Anything else that claims to
// authorize is an *Error and not "none": it must not be passed over for a client certificate.
// RFC 6750, section 2.1; the scheme's case does not matter (RFC 9110, section 11.1).
func BearerToken(values []string) (string, error) {
	switch len(values) {
	case 0:
		return "", nil
	case 1:
	default:
		return "", malformedBearer("there is more than one authorization")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimLeft(token, " ")
	switch {
	case !strings.EqualFold(scheme, "Bearer"):
		return "", malformedBearer("the authorization scheme is not Bearer")
	case token == "":
		return "", malformedBearer("the bearer credential is empty")
	case len(token) > MaxBearerSize:
		return "", malformedBearer("the bearer credential is too long")
	case strings.ContainsFunc(token, notTokenRune):
		return "", malformedBearer("the bearer credential holds a character that cannot be in one")
	}
	return token, nil
}

// notTokenRune reports what b64token of RFC 6750, section 2.1 leaves out.
func notTokenRune(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return false
	}
	return !strings.ContainsRune("-._~+/=", r)
}

func malformedBearer(message string) error {
	return &Error{Method: policy.MethodJWT, Reason: ReasonMalformed, Message: message}
}
