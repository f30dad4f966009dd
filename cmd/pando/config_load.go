package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// configName is the name of the configuration file in a data directory.
const configName = "pando.yaml"

// configSource is where a command finds its configuration.
type configSource struct {
	file string // --config
	data string // --data
	env  []string
}

// load reads the configuration in force: the defaults, then the file, then the environment.
// Paths in it come back absolute. It is not validated.
func (s configSource) load() (config, error) {
	if s.file != "" && s.data != "" {
		return config{}, usageErrorf("give --config or --data, not both")
	}
	cfg := defaultConfig()
	path, required := s.path()
	text, err := os.ReadFile(path)
	switch {
	case err == nil:
		if err := parseConfig(&cfg, path, text); err != nil {
			return config{}, err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return config{}, fmt.Errorf("configuration: %w", err)
	case required && s.file == "":
		return config{}, fmt.Errorf("there is no %s in %s: make a CA there with pando init; for one that is to be restored bring its own, and its seal key", configName, s.data)
	case required:
		return config{}, fmt.Errorf("configuration: %w", err)
	}
	if err := overrideConfig(&cfg, s.env); err != nil {
		return config{}, err
	}
	if err != nil && cfg.TrustDomain == "" {
		return config{}, fmt.Errorf("there is no configuration: no %s here, no --config or --data, and nothing in the environment; pando init makes a CA", configName)
	}
	if s.data != "" {
		cfg.Data = "" // the directory that was named, whatever the file says
	}
	if err := cfg.resolve(filepath.Dir(path)); err != nil {
		return config{}, err
	}
	return cfg, nil
}

// path is the configuration file, and whether it has to be there. Without flags a file in the
// working directory is taken if there is one; the environment alone may be enough.
func (s configSource) path() (path string, required bool) {
	switch {
	case s.file != "":
		return s.file, true
	case s.data != "":
		return filepath.Join(s.data, configName), true
	}
	return configName, false
}

// resolve makes paths absolute: they are relative to dir, the directory of the file.
func (c *config) resolve(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	from := func(base, path string) string {
		if filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(base, path)
	}
	c.Data = from(dir, c.Data)
	if c.SealKeyFile == "" {
		c.SealKeyFile = filepath.Join(c.Data, "seal.key")
	}
	c.SealKeyFile = from(dir, c.SealKeyFile)
	if c.Keys.PINFile != "" {
		c.Keys.PINFile = from(dir, c.Keys.PINFile)
	}
	if c.Backup.Directory != "" {
		c.Backup.Directory = from(dir, c.Backup.Directory)
	}
	if c.Debug.CPUProfile != "" {
		c.Debug.CPUProfile = from(dir, c.Debug.CPUProfile)
	}
	for i := range c.Issuers {
		for _, path := range []*string{&c.Issuers[i].JWKSFile, &c.Issuers[i].RootCAFile} {
			if *path != "" {
				*path = from(dir, *path)
			}
		}
	}
	return nil
}
