package client

import (
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// The files of a cache.
const (
	identityFile = "identity.pem"
	stateFile    = "state.json"
)

// errNothingKept is why there is no identity of a cache.
var errNothingKept = errors.New("there is no identity in a cache")

// errKeptAsRevoked is why an identity of a cache is not used of which no more is known.
var errKeptAsRevoked = fmt.Errorf("when it was kept, it was %w", ErrRevoked)

// recalled is what a restart begins with. Its zero value is nothing.
type recalled struct {
	first    *snapshot // nil: there is none that is of use
	err      error     // why not
	obtained time.Time // when first came; zero: not known

	trust              *trust // nil: what is configured
	bundleUpdated      time.Time
	revoked            *revocations
	revocationsUpdated time.Time

	text []byte // of the state
}

// recall reads what a Source has left in the cache. What is of no use is named in the log, left
// where it is until something takes its place, and never a reason not to start.
func (s *Source) recall(set *settings, now time.Time) recalled {
	if set.cache == nil {
		return recalled{err: errNothingKept}
	}
	st := s.recallState(set, now)
	k := recalled{
		trust: st.trust, bundleUpdated: st.bundleUpdated,
		revoked: st.revoked, revocationsUpdated: st.revocationsUpdated, text: st.text,
	}
	under := set.trust
	if k.trust != nil {
		under = k.trust
	}
	k.first, k.err = recallIdentity(set, under, st, now)
	switch {
	case errors.Is(k.err, fs.ErrNotExist):
		k.err = errNothingKept
	case k.err != nil:
		s.log.Warn("identity in the cache is of no use", "file", identityFile, "error", k.err)
	default:
		k.obtained = st.certificate.Obtained
		if k.first.serial() != st.certificate.Serial {
			k.obtained = time.Time{}
		}
	}
	return k
}

// recallState reads the state. The roots in it count if they were learned from those that are
// configured now.
func (s *Source) recallState(set *settings, now time.Time) learnedState {
	text, err := set.cache.read(stateFile, maxState)
	if errors.Is(err, fs.ErrNotExist) {
		return learnedState{}
	}
	var st learnedState
	if err == nil {
		st, err = parseState(text, set.trust.domain, now)
	}
	if err != nil {
		s.log.Warn("state in the cache is of no use", "file", stateFile, "error", err)
		return learnedState{}
	}
	if st.anchor != anchorOf(set.trust) {
		s.log.Info("the configured roots have changed: what the cache says of others does not count", "file", stateFile)
		st.trust, st.bundleUpdated = nil, time.Time{}
		st.revoked = st.revoked.anew() // the cursor is of the list of another CA, maybe
	}
	return st
}

// recallIdentity reads key and chain and verifies them as a peer would.
func recallIdentity(set *settings, under *trust, st learnedState, now time.Time) (*snapshot, error) {
	text, err := set.cache.read(identityFile, maxIdentity)
	if err != nil {
		return nil, err
	}
	chain, key, err := parseIdentity(text)
	if err != nil {
		return nil, err
	}
	first, err := adopt(under, chain, key, set.want, now)
	if err != nil {
		return nil, err
	}
	if st.revoked != nil {
		first = first.knowing(st.revoked, now)
	}
	first.recall(st.certificate, now)
	if first.withdrawn != nil {
		return nil, first.withdrawn
	}
	if set.pando.outdated(first) {
		first.window = window{start: now, end: now}
	}
	return first, nil
}

// recall takes in what was kept of the certificate. Its window goes on as if there had been no
// restart; if none is known, it is due at once.
func (s *snapshot) recall(c stateOfCertificate, now time.Time) {
	if c.Serial != s.serial() {
		c = stateOfCertificate{}
	}
	s.asked = c.Asked
	if c.Revoked && s.withdrawn == nil {
		s.withdrawn = errKeptAsRevoked
	}
	told := window{start: c.Renewal.Start, end: c.Renewal.End}
	if told.start.IsZero() {
		s.window = window{start: now, end: now} // and told stays zero
		return
	}
	s.schedule(told)
	s.settle = 0 // which is counted from when it came
}
