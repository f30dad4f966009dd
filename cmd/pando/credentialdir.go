package main

import (
	"crypto"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Names in a credential folder.
const (
	keyName     = "key.pem"
	chainName   = "cert.pem"
	bundleName  = "bundle.pem"
	infoName    = "info.json"
	currentName = "current"          // symbolic link to the version in force
	versionsDir = ".versions"        // one folder per version
	pendingName = ".pending-key.pem" // key of an enrolment whose answer has not come
)

// versionKept is how long a version stays after its last change although it is not in force:
// a slow reader may still be in it, or another process about to switch to it.
const versionKept = time.Hour

// credentialDir is a folder in which a workload finds its key, its certificate and the trust
// bundle:
//
//	DIR/key.pem     → current/key.pem
//	DIR/cert.pem    → current/cert.pem
//	DIR/bundle.pem  → current/bundle.pem
//	DIR/info.json   → current/info.json
//	DIR/current     → .versions/<serial>-<random>
//	DIR/.versions/<serial>-<random>/{key.pem,cert.pem,bundle.pem,info.json}
//
// A version is written whole and made durable under a name that nobody knows yet, and comes
// into force by the rename of one symbolic link: that is the commit point. So the files change
// together, also when the machine stops in between. A reader that opens DIR/key.pem and then
// DIR/cert.pem can have the switch between its two opens; one that resolves DIR/current once
// and reads from there cannot, since a version never changes and outlives its use by an hour.
type credentialDir struct{ path string }

// credentialInfo is what a program may want to know of the version in force without parsing it.
type credentialInfo struct {
	SPIFFEID       string      `json:"spiffe_id"`
	Serial         string      `json:"serial"`
	NotBefore      time.Time   `json:"not_before"`
	NotAfter       time.Time   `json:"not_after"`
	Renewal        renewalJSON `json:"renewal"`
	BundleSequence uint64      `json:"bundle_sequence"`
}

// credentials are the version in force.
type credentials struct {
	pair  *tls.Certificate
	trust *trustRoots
	info  credentialInfo
}

// openCredentialDir makes the folder if need be, and refuses one in which files of the same
// names are kept by somebody else.
func openCredentialDir(path string) (*credentialDir, error) {
	d := &credentialDir{path: path}
	if err := os.MkdirAll(d.in(versionsDir), 0o755); err != nil { //nolint:gosec // the programs that read it may run as other users
		return nil, err
	}
	for _, name := range []string{currentName, keyName, chainName, bundleName, infoName} {
		info, err := os.Lstat(d.in(name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, err
		case info.Mode()&fs.ModeSymlink == 0:
			return nil, fmt.Errorf("%s exists and was not made by pando get; choose another folder", d.in(name))
		}
	}
	return d, nil
}

func (d *credentialDir) in(names ...string) string {
	return filepath.Join(append([]string{d.path}, names...)...)
}

// load reads the version in force, nil if there is none yet.
func (d *credentialDir) load() (*credentials, error) {
	version, err := os.Readlink(d.in(currentName)) // once, so that all files are of one version
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c := &credentials{}
	pair, err := tls.LoadX509KeyPair(d.in(version, chainName), d.in(version, keyName))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.in(version), err)
	}
	c.pair = &pair
	if c.trust, err = readBundle(d.in(version, bundleName)); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(d.in(version, infoName))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &c.info); err != nil {
		return nil, fmt.Errorf("%s: %w", d.in(version, infoName), err)
	}
	return c, nil
}

// store writes a version and puts it in force.
func (d *credentialDir) store(issued *issuedJSON, key crypto.Signer, trust *trustRoots) (*credentialInfo, error) {
	info := &credentialInfo{
		SPIFFEID: issued.SPIFFEID, Serial: issued.Serial, NotBefore: issued.NotBefore, NotAfter: issued.NotAfter,
		Renewal: issued.Renewal, BundleSequence: issued.Bundle.Sequence,
	}
	encodedKey, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	encodedInfo, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return nil, err
	}
	version, err := d.writeVersion(filepath.Base(issued.Serial), map[string][]byte{
		keyName: encodedKey, chainName: []byte(issued.CertificateChain),
		bundleName: trust.pem(), infoName: append(encodedInfo, '\n'),
	})
	if err != nil {
		return nil, err
	}
	for _, name := range []string{keyName, chainName, bundleName, infoName} {
		if err := d.link(filepath.Join(currentName, name), name); err != nil {
			return nil, err
		}
	}
	// The commit point. If we crash before it the old version is in force, after it the new one.
	if err := d.link(version, currentName); err != nil {
		return nil, err
	}
	return info, flushDir(d.path)
}

// writeVersion writes the files of a version into a folder of its own and returns its path
// below the credential folder.
func (d *credentialDir) writeVersion(serial string, files map[string][]byte) (string, error) {
	folder, err := os.MkdirTemp(d.in(versionsDir), serial+"-")
	if err != nil {
		return "", err
	}
	for name, data := range files {
		mode := os.FileMode(0o644)
		if name == keyName {
			mode = 0o600
		}
		if err := writeNewFile(filepath.Join(folder, name), data, mode); err != nil {
			return "", err
		}
	}
	if err := os.Chmod(folder, 0o755); err != nil { //nolint:gosec // certificates are public; the key has a mode of its own
		return "", err
	}
	if err := flushDir(folder); err != nil {
		return "", err
	}
	return filepath.Join(versionsDir, filepath.Base(folder)), flushDir(d.in(versionsDir))
}

// link points a symbolic link in the folder at target, in one step.
func (d *credentialDir) link(target, name string) error {
	if now, err := os.Readlink(d.in(name)); err == nil && now == target {
		return nil
	}
	folder, err := os.MkdirTemp(d.path, ".link-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	temporary := filepath.Join(folder, name)
	if err := os.Symlink(target, temporary); err != nil {
		return err
	}
	return os.Rename(temporary, d.in(name))
}

// prune removes the versions that nobody can be reading any more.
func (d *credentialDir) prune(now time.Time) error {
	current, err := os.Readlink(d.in(currentName))
	if err != nil {
		return err
	}
	versions, err := os.ReadDir(d.in(versionsDir))
	if err != nil {
		return err
	}
	for _, v := range versions {
		info, err := v.Info()
		if err != nil || v.Name() == filepath.Base(current) || now.Sub(info.ModTime()) < versionKept {
			continue
		}
		if err := os.RemoveAll(d.in(versionsDir, v.Name())); err != nil {
			return err
		}
	}
	return nil
}

// pendingKey returns the key of an enrolment that was interrupted, or else a new key, made
// durable before it is used: with the same key a spent join token gives the lost answer again.
func (d *credentialDir) pendingKey(fresh func() (crypto.Signer, error), usable func(crypto.Signer) bool) (crypto.Signer, error) {
	if data, err := os.ReadFile(d.in(pendingName)); err == nil {
		if key, err := decodeKey(data); err == nil && usable(key) {
			return key, nil
		}
	}
	key, err := fresh()
	if err != nil {
		return nil, err
	}
	encoded, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	return key, replaceFile(d.in(pendingName), encoded, 0o600)
}

// forgetPending removes the key of an enrolment that is over.
func (d *credentialDir) forgetPending() error {
	err := os.Remove(d.in(pendingName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
