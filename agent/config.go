package agent

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/pando-ca/pando/client"
)

// Config is what an [Agent] does. Identities and StateDir are required.
type Config struct {
	Identities []Identity
	Hooks      []Hook

	// StateDir is a directory that only the user of the process can enter. It holds a file with
	// key, chain and roots for each identity.
	StateDir string

	// Log is told of what happens. Nil: nobody is.
	Log *slog.Logger
}

// Identity is one identity, and where it goes.
type Identity struct {
	// Name is lower-case letters, digits, "-", "_" and ".". It names the state, the metrics and
	// the health check of the identity.
	Name string

	// Client says where the CA is and what to ask for. Servers, TrustBundleFile and what to
	// enrol with are required, the last unless there is a CertificateFile.
	Client client.Config

	// CertificateFile and KeyFile are an identity of the same CA that exists already. It is used
	// when there is no state yet. They may be one file.
	CertificateFile string
	KeyFile         string

	Output Output
	Hooks  []string // names of those to run when something has changed
}

// Output is the files of an identity. A file without a name is not written.
type Output struct {
	Directory string // required
	Link      string // in Directory; leads to the version in force. Required

	Chain    string // certificate and intermediates in PEM, leaf first
	Key      string // PKCS #8 in PEM
	Bundle   string // roots in PEM
	Combined string // key, then chain
	PKCS12   string // key, chain and roots (RFC 7292), under the password in PasswordFile

	PasswordFile string // its first line is the password

	Mode          fs.FileMode // of chain and bundle
	KeyMode       fs.FileMode // of the files with the key; nothing for others
	DirectoryMode fs.FileMode // of the folder of a version
	UID, GID      *int        // of files and folder; nil: those of the process

	Keep time.Duration // how long a version stays that is not in force
}

// Hook tells a program that something has changed: by a command or by a signal.
type Hook struct {
	Name    string        // as that of an identity
	Delay   time.Duration // after a change; changes in the meantime are one run
	Timeout time.Duration // of the command; required

	Command []string // program and arguments; no shell is involved

	Signal  string // HUP, USR1 or USR2, to the process whose number is in PIDFile
	PIDFile string
}

// names are what can be a file name, a label and a word in a log line.
var names = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// validate checks what can be seen without asking anybody or reading a file.
func (c *Config) validate() error {
	if len(c.Identities) == 0 {
		return errors.New("no identities")
	}
	if c.StateDir == "" {
		return errors.New("no state directory")
	}
	hooks := make(map[string]bool)
	for _, h := range c.Hooks {
		if err := h.validate(); err != nil {
			return fmt.Errorf("hook %q: %w", h.Name, err)
		}
		if hooks[h.Name] {
			return fmt.Errorf("hook %q is there twice", h.Name)
		}
		hooks[h.Name] = true
	}
	used, places := make(map[string]bool), make(map[string]string)
	for _, i := range c.Identities {
		if err := i.validate(hooks); err != nil {
			return fmt.Errorf("identity %q: %w", i.Name, err)
		}
		place := filepath.Join(i.Output.Directory, i.Output.Link)
		switch other, taken := places[place]; {
		case used[i.Name]:
			return fmt.Errorf("identity %q is there twice", i.Name)
		case taken:
			return fmt.Errorf("identities %q and %q have the same output, %s", other, i.Name, place)
		}
		used[i.Name], places[place] = true, i.Name
	}
	return nil
}

func (i *Identity) validate(hooks map[string]bool) error {
	switch {
	case !names.MatchString(i.Name):
		return errors.New("the name is not of lower-case letters, digits, '-', '_' and '.'")
	case i.Client.TrustBundleFile == "":
		return errors.New("no trust bundle file")
	case (i.CertificateFile == "") != (i.KeyFile == ""):
		return errors.New("a certificate file and a key file go together")
	}
	for n, name := range i.Hooks {
		switch {
		case !hooks[name]:
			return fmt.Errorf("there is no hook %q", name)
		case slices.Contains(i.Hooks[:n], name):
			return fmt.Errorf("hook %q is named twice", name)
		}
	}
	return i.Output.validate()
}

func (o *Output) validate() error {
	files := o.named()
	switch {
	case o.Directory == "":
		return errors.New("no output directory")
	case len(files) == 0:
		return errors.New("no output file")
	case (o.PKCS12 == "") != (o.PasswordFile == ""):
		return errors.New("PKCS #12 and a password file go together")
	case o.KeyMode&^0o770 != 0:
		return fmt.Errorf("mode %04o lets everybody at a private key", o.KeyMode)
	case o.Mode&^0o777 != 0 || o.DirectoryMode&^0o777 != 0:
		return errors.New("a mode has more than permissions")
	case o.DirectoryMode&0o700 != 0o700 || o.KeyMode&0o400 == 0 || o.Mode&0o400 == 0:
		return errors.New("a mode keeps the owner from reading")
	}
	seen := make(map[string]bool)
	for _, name := range append(files, o.Link) {
		if name == "" || filepath.Base(name) != name || name == "." || name == ".." || name == ".versions" {
			return fmt.Errorf("%q is not the name of a file in a directory", name)
		}
		if seen[name] {
			return fmt.Errorf("name %q is used twice", name)
		}
		seen[name] = name != o.Link
	}
	return nil
}

// named is the names of the files that are wanted.
func (o *Output) named() []string {
	return slices.DeleteFunc([]string{o.Chain, o.Key, o.Bundle, o.Combined, o.PKCS12}, func(name string) bool { return name == "" })
}

func (h *Hook) validate() error {
	_, known := signals[h.Signal]
	switch {
	case !names.MatchString(h.Name):
		return errors.New("the name is not of lower-case letters, digits, '-', '_' and '.'")
	case (len(h.Command) == 0) == (h.Signal == ""):
		return errors.New("either a command or a signal is needed")
	case len(h.Command) > 0 && h.Command[0] == "":
		return errors.New("the command has no program")
	case len(h.Command) > 0 && h.Timeout <= 0:
		return errors.New("a command needs a timeout")
	case h.Signal != "" && !known:
		return fmt.Errorf("signal %q is not one of those that can be sent here: %s", h.Signal, signalNames())
	case (h.Signal == "") != (h.PIDFile == ""):
		return errors.New("a signal and a PID file go together")
	case h.Delay < 0:
		return errors.New("the delay is negative")
	}
	return nil
}

// checkClient checks what the client library will be given, as far as that is the
// configuration's: the state may bring a certificate and younger roots.
func (i *Identity) checkClient(saved *state) error {
	cfg := i.Client
	if i.CertificateFile != "" {
		cfg.Certificate = new(tls.Certificate) // whether it can be read shows when it is needed
	}
	var err error
	if cfg.TrustBundle, _, err = trustOf(cfg.TrustBundleFile, saved); err != nil {
		return err
	}
	cfg.TrustBundleFile = ""
	return cfg.Validate()
}
