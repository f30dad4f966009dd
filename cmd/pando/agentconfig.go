package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/pando-ca/pando/agent"
	"github.com/pando-ca/pando/client"
)

// agentConfig is everything that pando agent can be told, in one YAML file. The keys and their
// defaults are documented for operators in docs/agent.md; a test compares that page with this
// struct. Paths are relative to the file.
type agentConfig struct {
	StateDirectory string    `yaml:"state_directory"` // where the identities survive a restart
	Listen         string    `yaml:"listen"`          // health and metrics: host:port or unix:PATH; empty: closed
	Log            logConfig `yaml:"log"`

	// Servers and TrustBundleFile are for the identities that name none.
	Servers         []string `yaml:"servers"`
	TrustBundleFile string   `yaml:"trust_bundle_file"`

	Hooks      []agentHookConfig     `yaml:"hooks"`
	Identities []agentIdentityConfig `yaml:"identities"`
}

// agentHookConfig is a command, or a signal to a process.
type agentHookConfig struct {
	Name    string    `yaml:"name"`
	Command []string  `yaml:"command"` // program and arguments
	Timeout duration  `yaml:"timeout"` // of the command; 0: 30s
	Signal  string    `yaml:"signal"`  // HUP, USR1 or USR2
	PIDFile string    `yaml:"pid_file"`
	Delay   *duration `yaml:"delay"` // after a change; default 1s
}

// agentIdentityConfig is one identity.
type agentIdentityConfig struct {
	Name            string   `yaml:"name"`
	Servers         []string `yaml:"servers"`
	TrustBundleFile string   `yaml:"trust_bundle_file"`

	JoinTokenFile   string `yaml:"join_token_file"`
	JWTFile         string `yaml:"jwt_file"`
	CertificateFile string `yaml:"certificate_file"`
	KeyFile         string `yaml:"key_file"`

	SPIFFEID     string   `yaml:"spiffe_id"`
	DNSNames     []string `yaml:"dns_names"`
	Profile      string   `yaml:"profile"`
	Duration     duration `yaml:"duration"`
	KeyAlgorithm string   `yaml:"key_algorithm"`

	Output agentOutputConfig `yaml:"output"`
	Hooks  []string          `yaml:"hooks"` // names
}

// agentOutputConfig is where an identity goes.
type agentOutputConfig struct {
	Directory          string            `yaml:"directory"`
	Link               string            `yaml:"link"`  // default current
	Files              *agentFilesConfig `yaml:"files"` // default: chain, key and bundle
	PKCS12PasswordFile string            `yaml:"pkcs12_password_file"`
	Owner              string            `yaml:"owner"` // name or number
	Group              string            `yaml:"group"`
	Mode               fileMode          `yaml:"mode"`           // of chain and bundle; default 0644
	KeyMode            fileMode          `yaml:"key_mode"`       // of files with the key; default 0600, with a group 0640
	DirectoryMode      fileMode          `yaml:"directory_mode"` // of the folder with the files; default 0755
	Keep               duration          `yaml:"keep"`           // of versions that are not in force; default 1h
}

// agentFilesConfig is the names of the files. One without a name is not written.
type agentFilesConfig struct {
	Chain    string `yaml:"chain"`
	Key      string `yaml:"key"`
	Bundle   string `yaml:"bundle"`
	Combined string `yaml:"combined"`
	PKCS12   string `yaml:"pkcs12"`
}

// fileMode is permissions in octal, with or without quotes: 0640.
type fileMode fs.FileMode

// UnmarshalText reads octal digits.
func (m *fileMode) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 8, 32)
	if err != nil || n == 0 || n > 0o777 {
		return fmt.Errorf("%q is not a mode such as 0640", text)
	}
	*m = fileMode(n)
	return nil
}

func (m fileMode) or(otherwise fs.FileMode) fs.FileMode {
	if m == 0 {
		return otherwise
	}
	return fs.FileMode(m)
}

func defaultAgentConfig() agentConfig {
	return agentConfig{
		StateDirectory: "/var/lib/pando-agent", Listen: "127.0.0.1:9465", Log: logConfig{Format: "json", Level: "info"},
	}
}

// loadAgentConfig reads the file, and makes its paths absolute.
func loadAgentConfig(path string) (*agentConfig, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	cfg := defaultAgentConfig()
	if err := parseConfig(&cfg, path, text); err != nil {
		return nil, err
	}
	var p problems
	p.check(cfg.Log.Format == "json" || cfg.Log.Format == "text", "log.format", "%q is none of json, text", cfg.Log.Format)
	_, err = cfg.Log.level()
	p.add("log.level", err)
	if len(p) > 0 {
		return nil, fmt.Errorf("%s: %w", path, p[0])
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	cfg.resolve(dir)
	return &cfg, nil
}

// resolve makes paths absolute, and hands what is said once down to the identities.
func (c *agentConfig) resolve(dir string) {
	paths := []*string{&c.StateDirectory, &c.TrustBundleFile}
	for n := range c.Hooks {
		paths = append(paths, &c.Hooks[n].PIDFile)
	}
	for n := range c.Identities {
		i := &c.Identities[n]
		paths = append(paths, &i.TrustBundleFile, &i.JoinTokenFile, &i.JWTFile, &i.CertificateFile, &i.KeyFile,
			&i.Output.Directory, &i.Output.PKCS12PasswordFile)
	}
	for _, path := range paths {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
	for n := range c.Identities {
		i := &c.Identities[n]
		i.TrustBundleFile = firstOf(i.TrustBundleFile, c.TrustBundleFile)
		if len(i.Servers) == 0 {
			i.Servers = c.Servers
		}
	}
}

// agent is the configuration in the words of the package that acts on it.
func (c *agentConfig) agent() (agent.Config, error) {
	a := agent.Config{StateDir: c.StateDirectory}
	for _, h := range c.Hooks {
		a.Hooks = append(a.Hooks, h.hook())
	}
	for _, i := range c.Identities {
		output, err := i.Output.output()
		if err != nil {
			return agent.Config{}, fmt.Errorf("identity %q: output: %w", i.Name, err)
		}
		a.Identities = append(a.Identities, agent.Identity{
			Name: i.Name, Hooks: i.Hooks, Output: output, CertificateFile: i.CertificateFile, KeyFile: i.KeyFile,
			Client: client.Config{
				Servers: i.Servers, TrustBundleFile: i.TrustBundleFile, JoinTokenFile: i.JoinTokenFile, JWTFile: i.JWTFile,
				SPIFFEID: i.SPIFFEID, DNSNames: i.DNSNames, Profile: i.Profile, Duration: time.Duration(i.Duration),
				KeyAlgorithm: client.KeyAlgorithm(i.KeyAlgorithm),
			},
		})
	}
	return a, nil
}

func (h *agentHookConfig) hook() agent.Hook {
	hook := agent.Hook{
		Name: h.Name, Command: h.Command, Timeout: time.Duration(h.Timeout), Signal: h.Signal, PIDFile: h.PIDFile,
		Delay: time.Second,
	}
	if h.Timeout == 0 {
		hook.Timeout = 30 * time.Second
	}
	if h.Delay != nil {
		hook.Delay = time.Duration(*h.Delay)
	}
	return hook
}

func (o *agentOutputConfig) output() (agent.Output, error) {
	files := agentFilesConfig{Chain: chainName, Key: keyName, Bundle: bundleName}
	if o.Files != nil {
		files = *o.Files
	}
	keyMode := fs.FileMode(0o600)
	if o.Group != "" {
		keyMode = 0o640
	}
	out := agent.Output{
		Directory: o.Directory, Link: firstOf(o.Link, currentName), PasswordFile: o.PKCS12PasswordFile,
		Chain: files.Chain, Key: files.Key, Bundle: files.Bundle, Combined: files.Combined, PKCS12: files.PKCS12,
		Mode: o.Mode.or(0o644), KeyMode: o.KeyMode.or(keyMode), DirectoryMode: o.DirectoryMode.or(0o755),
		Keep: time.Duration(o.Keep),
	}
	if o.Keep == 0 {
		out.Keep = versionKept
	}
	if runtime.GOOS == "windows" && (o.Owner != "" || o.Group != "") {
		return agent.Output{}, fmt.Errorf("owner and group cannot be set on Windows")
	}
	var err error
	if out.UID, err = accountID(o.Owner, userID); err != nil {
		return agent.Output{}, fmt.Errorf("owner: %w", err)
	}
	if out.GID, err = accountID(o.Group, groupID); err != nil {
		return agent.Output{}, fmt.Errorf("group: %w", err)
	}
	return out, nil
}

// accountID is the number of a user or a group by its name or by the number itself; nil for "".
func accountID(account string, lookup func(string) (string, error)) (*int, error) {
	if account == "" {
		return nil, nil
	}
	if n, err := strconv.ParseUint(account, 10, 31); err == nil {
		id := int(n)
		return &id, nil
	}
	text, err := lookup(account)
	if err != nil {
		return nil, err
	}
	id, err := strconv.Atoi(text)
	return &id, err
}

func userID(name string) (string, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return "", err
	}
	return u.Uid, nil
}

func groupID(name string) (string, error) {
	g, err := user.LookupGroup(name)
	if err != nil {
		return "", err
	}
	return g.Gid, nil
}
