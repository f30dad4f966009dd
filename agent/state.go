package agent

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/pando-ca/pando/client"
	"github.com/pando-ca/pando/internal/durable"
)

// stateVersion is the form of the state that this version writes and reads.
const stateVersion = 1

// state is what a restart needs of an identity: all of it, in one file.
type state struct {
	Version int    `json:"version"`
	Key     string `json:"key"`   // PKCS #8 in PEM
	Chain   string `json:"chain"` // PEM, leaf first
	Roots   string `json:"roots"` // PEM: the bundle that came with it or later

	// Anchor is the SHA-256 of the configured trust bundle, from which Roots were learned. If
	// the operator replaces that file, it counts, and Roots do not.
	Anchor string `json:"anchor"`

	// Request is what was configured to be asked for when the state was saved.
	Request request `json:"request"`
}

// request is what an identity asks for when it enrols.
type request struct {
	SPIFFEID string   `json:"spiffe_id,omitempty"`
	DNSNames []string `json:"dns_names,omitempty"`
	Profile  string   `json:"profile,omitempty"`
	Duration string   `json:"duration,omitempty"`
}

func requestOf(c *client.Config) request {
	return request{SPIFFEID: c.SPIFFEID, DNSNames: c.DNSNames, Profile: c.Profile, Duration: c.Duration.String()}
}

func (r request) equal(o request) bool {
	return r.SPIFFEID == o.SPIFFEID && slices.Equal(r.DNSNames, o.DNSNames) && r.Profile == o.Profile && r.Duration == o.Duration
}

func anchorOf(bundle []byte) string {
	digest := sha256.Sum256(bundle)
	return hex.EncodeToString(digest[:])
}

// trustOf is what the CA is trusted by: the roots that were learned, as long as the configured
// trust bundle is that from which they were, or is not there; otherwise that file.
func trustOf(file string, saved *state) (bundle []byte, anchor string, err error) {
	configured, err := os.ReadFile(file)
	switch {
	case saved != nil && (err != nil || anchorOf(configured) == saved.Anchor):
		return []byte(saved.Roots), saved.Anchor, nil //nolint:nilerr // what was learned is enough
	case err != nil:
		return nil, "", fmt.Errorf("trust bundle: %w", err)
	}
	return configured, anchorOf(configured), nil
}

// errCorrupt says that a state cannot be what was saved.
var errCorrupt = errors.New("the saved state is damaged")

// stateFile is where the state of one identity is.
type stateFile string

func stateFileIn(dir, identity string) stateFile {
	return stateFile(filepath.Join(dir, identity+".json"))
}

// load returns what was saved: nil if nothing was, [errCorrupt] if it makes no sense.
func (f stateFile) load() (*state, *tls.Certificate, error) {
	data, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("state: %w", err)
	}
	s, pair, err := parseState(data)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w: %w", string(f), errCorrupt, err)
	}
	return s, pair, nil
}

// parseState takes what save wrote. The client library verifies the certificate again.
func parseState(data []byte) (*state, *tls.Certificate, error) {
	s := new(state)
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(s); err != nil {
		return nil, nil, err
	}
	if s.Version != stateVersion {
		return nil, nil, fmt.Errorf("form %d, not %d", s.Version, stateVersion)
	}
	pair, err := tls.X509KeyPair([]byte(s.Chain), []byte(s.Key))
	if err != nil {
		return nil, nil, err
	}
	// The client library is the judge of roots; the server is not asked.
	judge := client.Config{Servers: []string{"https://localhost"}, TrustBundle: []byte(s.Roots), Certificate: &pair}
	if err := judge.Validate(); err != nil {
		return nil, nil, err
	}
	return s, &pair, nil
}

// save makes s what the next load returns, durably.
func (f stateFile) save(s *state) error {
	data, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	if err := durable.ReplaceFile(string(f), data, 0o600); err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	return nil
}

// setAside keeps a damaged state for somebody to look at, in place of the last one that was.
func (f stateFile) setAside() (to string, err error) {
	to = string(f) + ".damaged"
	return to, os.Rename(string(f), to)
}

// openStateDir makes the state directory if need be, and locks it until the file that it returns
// is closed. It refuses a directory that others can enter, or that another agent has.
func openStateDir(path string) (lock *os.File, err error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if err := private(info); err != nil {
		return nil, err
	}
	lock, err = os.OpenFile(filepath.Join(path, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := durable.Lock(lock); err != nil {
		return nil, errors.Join(fmt.Errorf("is in use by another agent: %w", err), lock.Close())
	}
	if err := removeHalves(path); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// removeHalves removes what was being saved when the agent was killed: keys that nobody needs.
func removeHalves(path string) error {
	halves, err := filepath.Glob(filepath.Join(path, ".*.json-*"))
	for _, half := range halves {
		err = errors.Join(err, os.Remove(half))
	}
	return err
}
