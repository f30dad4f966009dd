package door

import (
	"strings"

	"github.com/pando-ca/pando/server"
)

const bearerScheme = "bearer"

// Bearer reads the bearer credential (RFC 6750, section 2.1) from the values of an
// Authorization header or of the metadata of the same name; "" when there is none. Whatever
// else stands there is refused: who shows a credential is never judged by another one.
func Bearer(values []string) (string, error) {
	if len(values) == 0 {
		return "", nil
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	if len(values) > 1 || !strings.EqualFold(scheme, bearerScheme) || token == "" {
		return "", &server.Error{
			Kind: server.KindUnauthenticated, Code: "unauthenticated",
			Message: "the authorization is not one bearer token",
		}
	}
	return token, nil
}

// Host is the address of a peer without its port, as records and rate limits know it.
func Host(address string) string {
	if i := strings.LastIndexByte(address, ':'); i >= 0 {
		address = address[:i]
	}
	return strings.TrimSuffix(strings.TrimPrefix(address, "["), "]")
}
