package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pando-ca/pando/client"
	"github.com/pando-ca/pando/internal/durable"
)

// refusedPause is how long a CA that has refused is left alone. The library tries again by
// itself when a CA is away; after a refusal somebody has to do something, such as put a new
// join token into its file.
const refusedPause = 20 * time.Second

// keeper keeps one identity in its files.
type keeper struct {
	cfg      Identity
	state    stateFile
	versions durable.Versions
	hooks    []*hook
	log      *slog.Logger
	anchor   string // of the state, see there; of the goroutine of run

	mu        sync.Mutex // guards what follows
	source    *client.Source
	attempts  outcomes
	openErr   error     // why there is no source
	stateErr  error     // why the state is not saved
	writeErr  error     // why the files are not current
	published time.Time // end of the certificate in the files; zero: nothing was written yet
}

// run keeps the identity until ctx ends.
func (k *keeper) run(ctx context.Context) {
	source := k.open(ctx)
	if source == nil {
		return
	}
	defer source.Close()
	updates := source.Updates(ctx)
	var retry <-chan time.Time
	failures := 0
	for {
		select {
		case _, ok := <-updates:
			if !ok {
				return
			}
		case <-retry:
		}
		retry = nil
		if err := k.keep(ctx, source); err != nil {
			failures++
			pause := retryPause(failures)
			k.log.ErrorContext(ctx, "identity not kept", "error", err, "failures", failures, "retry_in", pause.String())
			retry = time.After(pause)
			continue
		}
		failures = 0
	}
}

// open returns a source once there is an identity, or nil when ctx ends.
func (k *keeper) open(ctx context.Context) *client.Source {
	for {
		source, err := k.try(ctx)
		k.mu.Lock()
		k.source, k.openErr = source, err
		k.mu.Unlock()
		if err == nil {
			return source
		}
		if ctx.Err() != nil {
			return nil
		}
		pause := refusedPause + rand.N(refusedPause/2) //nolint:gosec // jitter is no secret
		k.log.ErrorContext(ctx, "no identity", "error", err, "retry_in", pause.String())
		if !sleep(ctx, pause) {
			return nil
		}
	}
}

// try opens a source, from the state if there is one.
func (k *keeper) try(ctx context.Context) (*client.Source, error) {
	saved, pair, err := k.restore(ctx)
	if err != nil {
		return nil, err
	}
	cfg := k.cfg.Client
	cfg.Log, cfg.Metrics, cfg.Certificate = k.log, tries{k}, pair
	if cfg.TrustBundle, k.anchor, err = trustOf(cfg.TrustBundleFile, saved); err != nil {
		return nil, err
	}
	cfg.TrustBundleFile = ""
	if k.cfg.CertificateFile != "" && (saved == nil || time.Now().After(pair.Leaf.NotAfter)) {
		existing, err := tls.LoadX509KeyPair(k.cfg.CertificateFile, k.cfg.KeyFile)
		switch {
		case err == nil:
			cfg.Certificate = &existing
		case cfg.JoinTokenFile == "" && cfg.JWTFile == "":
			return nil, fmt.Errorf("certificate %s: %w", k.cfg.CertificateFile, err)
		default:
			k.log.WarnContext(ctx, "existing certificate cannot be read", "file", k.cfg.CertificateFile, "error", err)
		}
	}
	return client.Open(ctx, cfg)
}

// restore loads the state. One that is damaged is set aside: it would be so at the next start,
// too, and there may be another way to the identity.
func (k *keeper) restore(ctx context.Context) (*state, *tls.Certificate, error) {
	saved, pair, err := k.state.load()
	if !errors.Is(err, errCorrupt) {
		return saved, pair, err
	}
	to, asideErr := k.state.setAside()
	k.log.ErrorContext(ctx, "state set aside: the identity has to be enrolled again", "error", err, "kept_as", to)
	return nil, nil, asideErr
}

// tries are the [client.Metrics] of a keeper: there is nothing to count but the tries for a
// certificate, since an agent neither listens nor dials.
type tries struct{ *keeper }

func (t tries) Renewal(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.attempts.add(err)
}

func (tries) Handshake(client.Handshake)   {}
func (tries) Connection(client.Connection) {}

// keep saves what the source has now, puts it into the files, and requests the hooks. It may be
// called again: what is done already is not done twice.
func (k *keeper) keep(ctx context.Context, source *client.Source) error {
	m, err := collect(source)
	if err != nil {
		return err
	}
	stateErr := k.save(m)
	wrote, writeErr := k.write(m)
	var pruneErr error
	if wrote {
		pruneErr = k.versions.Prune(time.Now(), k.cfg.Output.Keep)
	}

	k.mu.Lock()
	first := k.published.IsZero()
	k.stateErr, k.writeErr = stateErr, writeErr
	if writeErr == nil {
		k.published = m.notAfter
	}
	k.mu.Unlock()

	if wrote {
		k.log.InfoContext(ctx, "files written", "directory", k.cfg.Output.Directory, "serial", m.serial,
			"not_after", m.notAfter, "roots", len(m.roots))
	}
	if wrote || first && writeErr == nil {
		for _, h := range k.hooks {
			h.request(k.cfg.Name, m.notAfter)
		}
	}
	return errors.Join(stateErr, writeErr, pruneErr)
}

// save makes m what a restart begins with.
func (k *keeper) save(m *material) error {
	key, err := m.keyPEM()
	if err != nil {
		return err
	}
	return k.state.save(&state{
		Version: stateVersion, Key: string(key), Chain: string(certificatesPEM(m.chain)),
		Roots: string(certificatesPEM(m.roots)), Anchor: k.anchor, Request: requestOf(&k.cfg.Client),
	})
}

// write puts m into the files unless it is there, and reports whether it was not.
func (k *keeper) write(m *material) (wrote bool, err error) {
	o := &k.cfg.Output
	files, err := m.files(o)
	if err != nil {
		return false, err
	}
	if o.inForce(k.versions, files) {
		return false, nil
	}
	err = k.versions.Publish(durable.Set{
		Label: m.serial, Files: files, Mode: o.DirectoryMode, Owner: durable.Owner{UID: o.UID, GID: o.GID},
	})
	if err != nil {
		return false, fmt.Errorf("write files: %w", err)
	}
	return true, nil
}
