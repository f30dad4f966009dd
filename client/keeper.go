package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"time"

	"github.com/pando-ca/pando/ca/spiffeid"
)

// keepRetry is when a write that failed is tried again, give or take a half. A disk that is
// full, or cannot be written, seldom recovers sooner.
const keepRetry = time.Minute

// keeper writes to the cache what a restart needs, whenever that has changed. It belongs to
// one goroutine, so that a disk that hangs delays neither renewals, polls nor handshakes; and
// to [Source.Close] after that.
//
// The identity is written before the state: if the machine stops in between, a certificate is
// found of which no window is known, and it is renewed at once.
type keeper struct {
	source *Source
	cache  *cacheDir
	anchor string

	serial string // of the identity that was written, or found
	state  []byte // the same
	cause  string // of the last failure that was logged
}

// run writes until ctx ends. What is not written then is for [Source.Close], after those who
// change it are gone.
func (k *keeper) run(ctx context.Context) {
	retry := time.NewTimer(keepRetry)
	retry.Stop()
	for {
		select {
		case <-k.source.unsaved:
		case <-retry.C:
		case <-ctx.Done():
			return
		}
		err := k.save()
		k.outcome(err)
		if err != nil {
			retry.Reset(keepRetry/2 + rand.N(keepRetry)) //nolint:gosec // jitter is no secret
		}
	}
}

// save writes what has changed. There is nothing to write before there is a certificate: a
// restart would find what it is configured with.
func (k *keeper) save() error {
	k.source.mu.Lock()
	cur, st := k.source.snapshot.Load(), k.source.status()
	k.source.mu.Unlock()
	if !cur.held() {
		return nil
	}
	return errors.Join(k.saveIdentity(cur, st), k.savePolicy(cur.id))
}

// saveIdentity is save for the identity and the state.
func (k *keeper) saveIdentity(cur *snapshot, st Status) error {
	if k.serial != cur.serial() {
		text, err := encodeIdentity(cur)
		if err == nil {
			err = k.cache.write(identityFile, text)
		}
		if err != nil {
			return err
		}
		k.serial = cur.serial()
	}
	text, err := json.Marshal(stateOf(cur, st, k.anchor))
	if err != nil || bytes.Equal(text, k.state) {
		return err
	}
	if err := k.cache.write(stateFile, text); err != nil {
		return err
	}
	k.state = text
	return nil
}

// savePolicy is save for the policy about modes.
func (k *keeper) savePolicy(id spiffeid.ID) error {
	m := &k.source.modes
	m.mu.Lock()
	p, kept := m.policy, m.kept
	m.mu.Unlock()
	if p == nil || p == kept {
		return nil
	}
	text, err := p.stored(id, k.anchor)
	if err == nil {
		err = k.cache.write(policyFile, text)
	}
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept = p
	return nil
}

// outcome records how it went. Only another cause is worth a line in the log.
func (k *keeper) outcome(err error) {
	s := k.source
	s.mu.Lock()
	s.cacheError = err
	s.mu.Unlock()
	cause := causeOf(err)
	switch {
	case cause == k.cause:
		return
	case err != nil:
		s.log.Error("identity is not kept in the cache", "spiffe_id", s.ID(), "error", err)
	default:
		s.log.Info("identity is kept in the cache again", "spiffe_id", s.ID())
	}
	k.cause = cause
}

// causeOf is what an error of the file system says beside the name of the file, which is
// another each time while it is temporary.
func causeOf(err error) string {
	var named *fs.PathError
	var moved *os.LinkError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &named):
		return named.Op + " " + named.Err.Error()
	case errors.As(err, &moved):
		return moved.Op + " " + moved.Err.Error()
	}
	return err.Error()
}
