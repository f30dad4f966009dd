package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/keystore"
	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/internal/durable"
	"github.com/pando-ca/pando/store"
)

// errExists says that there is a CA already, which init leaves as it is.
var errExists = errors.New("nothing was changed")

// Files that init makes in the data directory. The claim is the first one to appear and the last
// one to go: while it is there, what else is there was left by an init that did not finish,
// and is completed; when it is not, everything belongs to a CA that is in use.
const (
	claimName    = "init.claim"
	caBundleName = "bundle.pem"
)

// initialise makes a CA. The steps are in the order in which a process may die between any two
// of them: each step looks whether it was done before.
func initialise(ctx context.Context, o *initOptions, now time.Time) (*initResult, error) {
	claimed, err := o.look(ctx)
	if errors.Is(err, errExists) && o.ifNeeded {
		return o.existing(ctx, now, err)
	}
	if err != nil {
		return nil, err
	}
	release, err := o.claim(claimed)
	if err != nil {
		return nil, err
	}
	defer release()
	v, err := o.sealKey(ctx)
	if err != nil {
		return nil, err
	}
	if err := migrateDatabase(ctx, &o.cfg, false); err != nil {
		return nil, err
	}
	db, err := openDatabase(ctx, &o.cfg)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	if err := v.openToken(&o.cfg.Keys, db); err != nil {
		return nil, err
	}
	defer v.close()
	if waits, err := o.request(ctx, db, v, now); waits != nil || err != nil {
		return waits, err
	}
	set, err := o.generation(ctx, db, v, now)
	if err != nil {
		return nil, err
	}
	administrator, err := o.issueAdministrator(ctx, db, set)
	if err != nil {
		return nil, err
	}
	if err := o.writeFiles(set); err != nil {
		return nil, err
	}
	result := o.result(set, administrator)
	result.Context, result.ContextNote = o.remember()
	result.reach = o.reach(result.Context)
	// From here on the CA is in use, and a second init is refused.
	if err := os.Remove(o.path(claimName)); err != nil {
		return nil, fmt.Errorf("finish: %w", err)
	}
	return result, durable.FlushDir(o.cfg.Data)
}

func (o *initOptions) path(name string) string { return filepath.Join(o.cfg.Data, name) }

// look finds out, without touching anything, whether init may go ahead, and whether an
// earlier one left its claim.
func (o *initOptions) look(ctx context.Context) (claimed bool, err error) {
	text, err := os.ReadFile(o.path(claimName))
	switch {
	case err == nil:
		return true, o.checkClaim(text)
	case !errors.Is(err, fs.ErrNotExist):
		return false, fmt.Errorf("data directory: %w", err)
	}
	if found := o.found(); len(found) > 0 {
		return false, fmt.Errorf("found in the data directory %s: %s; %w. If this is a CA, run it with pando serve; if not, move these files away, run init again, and edit the pando.yaml that it writes",
			o.cfg.Data, strings.Join(found, ", "), errExists)
	}
	gen, err := o.currentGeneration(ctx)
	if gen != nil {
		err = fmt.Errorf("the database holds the CA of trust domain %s already; %w", gen.TrustDomain, errExists)
	}
	return false, err
}

// found names the files that are there and that init would make.
func (o *initOptions) found() []string {
	var found []string
	for _, name := range []string{configName, caBundleName, o.admin + ".key", o.admin + ".crt"} {
		if exists(o.path(name)) {
			found = append(found, name)
		}
	}
	if key := o.cfg.SealKeyFile; exists(key) {
		if inside, err := filepath.Rel(o.cfg.Data, key); err == nil && filepath.IsLocal(inside) {
			key = inside
		}
		found = append(found, key)
	}
	return found
}

// currentGeneration looks into a database that may have no schema yet. It returns nil when there
// is no generation.
func (o *initOptions) currentGeneration(ctx context.Context) (*store.Generation, error) {
	db, err := openDatabase(ctx, &o.cfg)
	if errors.Is(err, errNoDatabase) || errors.Is(err, store.ErrSchemaOld) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer db.Close()
	gen, err := db.Generation(ctx)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return gen, describeDatabase(err)
}

// claimText is what the claim says: enough to notice that the second run is for another CA.
func (o *initOptions) claimText() []byte {
	return fmt.Appendf(nil, "%s %s\n", o.cfg.TrustDomain, o.admin)
}

// checkClaim compares the claim of an interrupted init with this one. An empty claim was left by
// a process that died while it wrote it, before anything else.
func (o *initOptions) checkClaim(text []byte) error {
	if len(bytes.TrimSpace(text)) == 0 || bytes.Equal(text, o.claimText()) {
		return nil
	}
	return fmt.Errorf("an interrupted init left %s, for (trust domain, administrator) %q: run it again with these to complete it, or remove the directory",
		o.path(claimName), bytes.TrimSpace(text))
}

// claim makes the data directory, if it is not there, and takes the claim. Another init that
// runs now keeps it locked.
func (o *initOptions) claim(claimed bool) (release func(), err error) {
	if err := os.MkdirAll(o.cfg.Data, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	flags := os.O_WRONLY
	if !claimed {
		flags |= os.O_CREATE | os.O_EXCL
	}
	file, err := os.OpenFile(o.path(claimName), flags, 0o600)
	if err != nil {
		return nil, fmt.Errorf("claim data directory: %w", err)
	}
	release = func() { file.Close() } // nothing is written any more; this unlocks
	if err := durable.Lock(file); err != nil {
		release()
		return nil, fmt.Errorf("another init is at work in %s: %w", o.cfg.Data, err)
	}
	_, err = file.Write(o.claimText())
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = durable.FlushDir(o.cfg.Data)
	}
	if err != nil {
		release()
		return nil, fmt.Errorf("claim data directory: %w", err)
	}
	return release, nil
}

// sealKey makes the seal key, or takes the one that is there.
func (o *initOptions) sealKey(ctx context.Context) (*vault, error) {
	if o.sealKeyText != "" {
		return openVault(o.sealKeyText, "")
	}
	v, err := openVault("", o.cfg.SealKeyFile)
	if err == nil {
		return v, nil // made by an init that was interrupted
	}
	if _, statErr := os.Lstat(o.cfg.SealKeyFile); statErr == nil {
		// Half written by an init that was interrupted, unless something was sealed since.
		gen, genErr := o.currentGeneration(ctx)
		if genErr != nil || gen != nil {
			return nil, errors.Join(err, genErr)
		}
		if err := os.Remove(o.cfg.SealKeyFile); err != nil {
			return nil, fmt.Errorf("seal key: %w", err)
		}
	}
	key, err := keystore.GenerateSealKey()
	if err != nil {
		return nil, err
	}
	if err := keystore.WriteSealKey(o.cfg.SealKeyFile, key); err != nil {
		return nil, err
	}
	return newVault(key)
}

// generation makes the first generation, or takes the one that is there.
func (o *initOptions) generation(ctx context.Context, db database, v *vault, now time.Time) (*ca.Set, error) {
	td, err := o.cfg.trustDomain()
	if err != nil {
		return nil, err
	}
	gen, err := db.Generation(ctx)
	if errors.Is(err, store.ErrNotFound) {
		gen, err = o.createGeneration(ctx, db, v, td, now)
	} else {
		err = describeDatabase(err)
	}
	if err != nil {
		return nil, err
	}
	set, err := openSet(v, &o.cfg, gen, now)
	if err != nil {
		return nil, fmt.Errorf("the database holds a CA that this init did not make: %w", err)
	}
	return set, nil
}

func (o *initOptions) createGeneration(ctx context.Context, db database, v *vault, td spiffeid.TrustDomain, now time.Time) (*store.Generation, error) {
	gen, err := o.newGeneration(ctx, db, v, td, now)
	if err != nil {
		return nil, err
	}
	// The commit point of the CA. Before it, nothing is lost by starting again; another init
	// that was faster, from another machine perhaps, makes this one lose the comparison.
	err = db.ReplaceGeneration(ctx, 0, gen, store.Fence{}, store.Audit{
		At: now, Actor: "pando init", Action: "generation.replace", Target: "1",
		Detail: map[string]string{
			"trust_domain": gen.TrustDomain,
			"root":         gen.Authorities[0].ID,
			"intermediate": gen.Authorities[1].ID,
		},
	})
	if err != nil && !errors.Is(err, store.ErrConflict) {
		return nil, describeDatabase(err)
	}
	made, err := db.Generation(ctx)
	return made, describeDatabase(err)
}

// writeFiles writes what can be written again at any time.
func (o *initOptions) writeFiles(set *ca.Set) error {
	var bundle []byte
	for _, root := range set.Roots() {
		bundle = append(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw})...)
	}
	if err := durable.ReplaceFile(o.path(caBundleName), bundle, 0o644); err != nil {
		return fmt.Errorf("trust bundle: %w", err)
	}
	if err := durable.ReplaceFile(o.path(configName), o.configText(), 0o600); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	return nil
}

// fingerprint is the SHA-256 of a certificate as browsers and openssl print it.
func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	text := make([]byte, 0, 3*len(sum))
	for i, octet := range sum {
		if i > 0 {
			text = append(text, ':')
		}
		text = fmt.Appendf(text, "%02X", octet)
	}
	return string(text)
}
