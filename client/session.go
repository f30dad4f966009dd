package client

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"time"
)

// A session that is resumed has the certificates of the handshake that it began with. By the
// time they may have expired, or their root may have gone, while both sides have others that
// are good: then there must be a full handshake, not a failed one. So a few facts are kept with each
// session that tell before it is resumed. They decide nothing but that; VerifyConnection
// judges the session if it is resumed all the same.

// sessionMark leads the facts among what else is kept with a session.
const sessionMark = "pando1"

// sessionFacts is what of this snapshot goes with a session whose peer has shown a leaf.
func (s *snapshot) sessionFacts(peer *x509.Certificate) []byte {
	ends := s.leaf().NotAfter
	if peer.NotAfter.Before(ends) {
		ends = peer.NotAfter
	}
	return binary.BigEndian.AppendUint64(s.sessionTrust(), uint64(ends.Unix()))
}

// sessionTrust is those of them that must not have changed: which roots count, and how many
// authorities do not.
func (s *snapshot) sessionTrust() []byte {
	facts := binary.BigEndian.AppendUint64([]byte(sessionMark), s.trust.sequence)
	revoked := 0
	if s.revoked != nil {
		revoked = len(s.revoked.authorities)
	}
	return binary.BigEndian.AppendUint64(facts, uint64(revoked))
}

// resumes reports whether it is worth resuming a session with which this is kept.
func (s *snapshot) resumes(extra [][]byte, now time.Time) bool {
	for _, facts := range extra {
		ends, same := bytes.CutPrefix(facts, s.sessionTrust())
		if same && len(ends) == 8 && now.Unix() <= int64(binary.BigEndian.Uint64(ends)) {
			return true
		}
	}
	return false
}

// ticketed has a server's configuration keep the facts in its session tickets, whose keys
// are those of config, for its clones too.
func (s *Source) ticketed(config *tls.Config) *tls.Config {
	config.WrapSession = func(state tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
		if len(state.PeerCertificates) > 0 {
			session.Extra = append(session.Extra, s.snapshot.Load().sessionFacts(state.PeerCertificates[0]))
		}
		return config.EncryptTicket(state, session)
	}
	config.UnwrapSession = func(identity []byte, state tls.ConnectionState) (*tls.SessionState, error) {
		session, err := config.DecryptTicket(identity, state)
		if err != nil || session == nil || !s.snapshot.Load().resumes(session.Extra, time.Now()) {
			return nil, err
		}
		return session, nil
	}
	return config
}

// sessionCache is the cache of a [Dialer] as one of its connections uses it.
type sessionCache struct {
	tls.ClientSessionCache
	source *Source
	peer   *x509.Certificate // of this connection; nil: not verified yet
}

// cached has a client's configuration of one connection keep the facts in a cache.
func (s *Source) cached(config *tls.Config) {
	cache := &sessionCache{ClientSessionCache: config.ClientSessionCache, source: s}
	verify := config.VerifyConnection
	config.ClientSessionCache = cache
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if err := verify(state); err != nil {
			return err
		}
		cache.peer = state.PeerCertificates[0]
		return nil
	}
}

// Get returns the session of a peer, if it is worth resuming.
func (c *sessionCache) Get(key string) (*tls.ClientSessionState, bool) {
	session, ok := c.ClientSessionCache.Get(key)
	if !ok || session == nil {
		return nil, false
	}
	_, state, err := session.ResumptionState()
	if err != nil || state == nil || !c.source.snapshot.Load().resumes(state.Extra, time.Now()) {
		return nil, false
	}
	return session, true
}

// Put keeps a session with the facts.
func (c *sessionCache) Put(key string, session *tls.ClientSessionState) {
	if session != nil && c.peer != nil {
		ticket, state, err := session.ResumptionState()
		if err == nil && state != nil {
			state.Extra = append(state.Extra, c.source.snapshot.Load().sessionFacts(c.peer))
			if marked, err := tls.NewResumptionState(ticket, state); err == nil {
				session = marked
			}
		}
	}
	c.ClientSessionCache.Put(key, session)
}
