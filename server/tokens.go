package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/store"
)

// JoinTokenPrefix starts the text of every join token, so that authentication and secret
// scanners can tell one from a JWT.
const JoinTokenPrefix = "pjt_"

const (
	defaultTokenTTL = 10 * time.Minute
	maxTokenTTL     = 7 * 24 * time.Hour
)

// JoinToken is a new join token. Secret is shown this once; the store keeps its SHA-256.
type JoinToken struct {
	ID        string
	EntryID   string
	Secret    string
	ExpiresAt time.Time
}

// CreateJoinToken makes a token that enrols one workload under an entry, once, within ttl
// (0: ten minutes; at most seven days).
func (s *Service) CreateJoinToken(ctx context.Context, caller policy.Caller, entryID string, ttl time.Duration) (*JoinToken, error) {
	now := time.Now()
	if err := s.authorize(ctx, caller, OpCreateJoinToken); err != nil {
		return nil, err
	}
	if err := checkTexts(entryID); err != nil {
		return nil, err
	}
	if ttl == 0 {
		ttl = defaultTokenTTL
	}
	if ttl < time.Second || ttl > maxTokenTTL {
		return nil, invalid("ttl: is not between 1s and 7 days")
	}
	entry, err := s.entry(ctx, entryID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, notFound("there is no entry with this ID")
	case err != nil:
		return nil, err
	case entry.Issuer() != "":
		return nil, invalid("entry_id: %s is for JWTs, not for join tokens", entryID)
	case entry.Reserved() && !caller.Role.AtLeast(policy.RoleAdmin):
		return nil, permissionDenied("a join token for an identity under /pando/ requires the role %s", policy.RoleAdmin)
	}
	token := newJoinToken(entryID, now.Add(ttl))
	row := store.Token{
		ID: token.ID, Hash: sha256.Sum256([]byte(token.Secret)), EntryID: entryID,
		CreatedAt: now, CreatedBy: caller.Subject, ExpiresAt: token.ExpiresAt,
	}
	audit := store.Audit{
		At: now, Actor: caller.Subject, Action: "join_token.create", Target: token.ID,
		Detail: map[string]string{"entry_id": entryID, "expires_at": token.ExpiresAt.UTC().Format(time.RFC3339)},
	}
	if err := s.tokens.CreateToken(ctx, row, audit); err != nil {
		return nil, fmt.Errorf("create join token: %w", err)
	}
	return token, nil
}

func newJoinToken(entryID string, expiresAt time.Time) *JoinToken {
	var secret [32]byte
	rand.Read(secret[:])
	return &JoinToken{
		ID: newID("tok"), EntryID: entryID, ExpiresAt: expiresAt,
		Secret: JoinTokenPrefix + base64.RawURLEncoding.EncodeToString(secret[:]),
	}
}

// JoinToken finds a token by the SHA-256 of its text, for authentication. It reports false for
// one that does not exist. The look-up is by the hash of what was shown, so that its time
// tells nothing about the secrets that exist.
func (s *Service) JoinToken(ctx context.Context, hash [32]byte) (policy.JoinToken, bool, error) {
	row, err := s.tokens.Token(ctx, hash)
	if errors.Is(err, store.ErrNotFound) {
		return policy.JoinToken{}, false, nil
	}
	if err != nil {
		return policy.JoinToken{}, false, fmt.Errorf("join token: %w", err)
	}
	token := policy.JoinToken{ID: row.ID, EntryID: row.EntryID, ExpiresAt: row.ExpiresAt}
	if row.Used() {
		token.Spent = policy.Spent{At: row.UsedAt, Serial: ca.Serial(row.UsedBy), Key: row.UsedKey}
	}
	return token, true, nil
}
