package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// credential is what enrolment shows the CA: the source of a bearer token. The zero value
// has none.
type credential struct {
	read func(ctx context.Context) (string, error)
	// once says that a token of this source enrols a single time, with a single key.
	once bool
	// fixed says that the token never becomes another one.
	fixed bool
}

// credential picks the one source of bearer tokens that is configured.
func (c *Config) credential() (credential, error) {
	var found []credential
	if c.JoinToken != "" {
		token := strings.TrimSpace(c.JoinToken)
		found = append(found, credential{read: func(context.Context) (string, error) { return token, nil }, once: true, fixed: true})
	}
	if c.JoinTokenFile != "" {
		found = append(found, credential{read: fromFile(c.JoinTokenFile), once: true})
	}
	if c.JWT != nil {
		found = append(found, credential{read: c.JWT})
	}
	if c.JWTFile != "" {
		found = append(found, credential{read: fromFile(c.JWTFile)})
	}
	switch {
	case len(found) > 1:
		return credential{}, errors.New("more than one of JoinToken, JoinTokenFile, JWT and JWTFile is set")
	case len(found) == 1:
		return found[0], nil
	case c.Certificate == nil && c.CacheDir == "":
		return credential{}, errors.New("nothing to enrol with: none of JoinToken, JoinTokenFile, JWT, JWTFile, Certificate and CacheDir is set")
	}
	return credential{}, nil
}

// fromFile reads a token from a file each time, since such files are replaced.
func fromFile(path string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		text, err := os.ReadFile(path)
		return string(text), err
	}
}

// bearer returns a token that can stand in an Authorization header (RFC 6750, section 2.1).
func (c credential) bearer(ctx context.Context) (string, error) {
	if c.read == nil {
		return "", errors.New("there is no join token or JWT to enrol with")
	}
	var text string
	var err error
	if panicked := shielded(func() { text, err = c.read(ctx) }); panicked != nil {
		err = panicked
	}
	if err != nil {
		return "", fmt.Errorf("credential: %w", err)
	}
	text = strings.TrimSpace(text)
	if text == "" {
		return "", errors.New("credential: token is empty")
	}
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return "", errors.New("credential: token holds a character that no token has")
		}
	}
	return text, nil
}
