package auth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"

	"github.com/pando-ca/pando/ca/policy"
)

const (
	// joinTokenPrefix starts every join token and no JWT, whose first character is the 'e' of
	// an encoded '{'.
	joinTokenPrefix = "pjt_"

	joinTokenSecret = 32 // octets

	// spentPassed is how long a used join token is still passed on. The server repeats a lost
	// answer for some minutes only; a token that turns up later than this was found or is
	// stuck in somebody's configuration, and counts as a failure of the address.
	spentPassed = time.Hour

	// retryTokens is what a caller is told to wait when join tokens cannot be looked up.
	retryTokens = 2 * time.Second
)

// joinToken judges a join token.
//
// What is compared is SHA-256 of the text with the hashes in the store, by an index. How long
// that takes depends on the hash of what was shown, which tells nothing about a hash nearby,
// let alone about the 256 random bits behind one: there is no secret to be found octet by
// octet, and so nothing that constant time would protect. Guessing is out of reach; the limit
// on failures keeps those who try from loading the store.
func (a *Authenticator) joinToken(ctx context.Context, text string, now time.Time) (policy.Caller, error) {
	if !wellFormedJoinToken(text) {
		return policy.Caller{}, refuse(ReasonMalformed, "the join token is malformed")
	}
	hash := sha256.Sum256([]byte(text))
	token, ok, err := a.tokens.JoinToken(ctx, hash)
	switch {
	case err != nil:
		return policy.Caller{}, &Error{
			Reason: ReasonUnavailable, Message: "join tokens cannot be looked up now",
			RetryAfter: retryTokens, Err: err,
		}
	case !ok:
		return policy.Caller{}, refuse(ReasonTokenUnknown, "there is no such join token")
	case token.Spent.IsZero() && !now.Before(token.ExpiresAt):
		return policy.Caller{}, refuse(ReasonTokenExpired, "the join token has expired")
	case !token.Spent.IsZero() && now.Sub(token.Spent.At) > spentPassed:
		return policy.Caller{}, refuse(ReasonTokenUsed, "the join token is already used")
	}
	return policy.Caller{
		Subject: token.ID, TokenHash: hash, EntryID: token.EntryID, Spent: token.Spent,
	}, nil
}

// wellFormedJoinToken reports whether text can be a join token at all, so that what cannot
// does not cost a look-up.
func wellFormedJoinToken(text string) bool {
	encoded, ok := strings.CutPrefix(text, joinTokenPrefix)
	if !ok || len(encoded) != base64.RawURLEncoding.EncodedLen(joinTokenSecret) {
		return false
	}
	secret, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	return err == nil && len(secret) == joinTokenSecret // it passes over line ends
}
