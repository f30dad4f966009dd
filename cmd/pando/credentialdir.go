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

	"github.com/pando-ca/pando/internal/durable"
)

// Names in a credential folder.
const (
	keyName     = "key.pem"
	chainName   = "cert.pem"
	bundleName  = "bundle.pem"
	infoName    = "info.json"
	currentName = "current"          // symbolic link to the version in force
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
// The files change together, by the switch of the one link current: see [durable.Versions]. A
// version outlives its use by an hour.
type credentialDir struct {
	path     string
	versions durable.Versions
}

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
	d := &credentialDir{path: path, versions: durable.Versions{Path: path, Link: currentName}}
	if err := os.MkdirAll(path, 0o755); err != nil { //nolint:gosec // the programs that read it may run as other users
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
	version, err := d.versions.Current() // once, so that all files are of one version
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c := &credentials{}
	pair, err := tls.LoadX509KeyPair(filepath.Join(version, chainName), filepath.Join(version, keyName))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", version, err)
	}
	c.pair = &pair
	if c.trust, err = readBundle(filepath.Join(version, bundleName)); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(version, infoName))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &c.info); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(version, infoName), err)
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
	for _, name := range []string{keyName, chainName, bundleName, infoName} {
		if err := d.versions.Alias(name); err != nil {
			return nil, err
		}
	}
	const public, folder = 0o644, 0o755 // certificates are; the key has a mode of its own
	return info, d.versions.Publish(durable.Set{Label: filepath.Base(issued.Serial), Mode: folder, Files: []durable.File{
		{Name: keyName, Data: encodedKey, Mode: 0o600},
		{Name: chainName, Data: []byte(issued.CertificateChain), Mode: public},
		{Name: bundleName, Data: trust.pem(), Mode: public},
		{Name: infoName, Data: append(encodedInfo, '\n'), Mode: public},
	}})
}

// prune removes the versions that nobody can be reading any more.
func (d *credentialDir) prune(now time.Time) error { return d.versions.Prune(now, versionKept) }

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
	return key, durable.ReplaceFile(d.in(pendingName), encoded, 0o600)
}

// forgetPending removes the key of an enrolment that is over.
func (d *credentialDir) forgetPending() error {
	err := os.Remove(d.in(pendingName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
