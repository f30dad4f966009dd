package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"github.com/pando-ca/pando/internal/durable"
)

// savedContext is how to reach one Pando server, and as whom. Paths are absolute, or relative
// to the folder of the context file.
type savedContext struct {
	Server      string `yaml:"server"`                // REST address, https://host:port
	Bundle      string `yaml:"bundle"`                // file with the roots that the server is verified under
	Certificate string `yaml:"certificate,omitempty"` // file with the administrator's certificate and its chain
	Key         string `yaml:"key,omitempty"`         // file with its key; may be the same file
}

// contextFile is the file of all contexts. It holds paths and no secret, and is still kept
// from other users: who administers which CA is nobody's business.
type contextFile struct {
	Current  string                  `yaml:"current,omitempty"`
	Contexts map[string]savedContext `yaml:"contexts"`
}

// contextFilePath is where contexts are kept: $PANDO_CONTEXT_FILE, or pando/contexts.yaml in
// the user's configuration folder, $XDG_CONFIG_HOME where that is set.
func contextFilePath() (string, error) {
	if path := os.Getenv("PANDO_CONTEXT_FILE"); path != "" {
		return path, nil
	}
	dir := os.Getenv("XDG_CONFIG_HOME")
	if dir == "" {
		var err error
		if dir, err = os.UserConfigDir(); err != nil {
			return "", fmt.Errorf("context file: %w; set PANDO_CONTEXT_FILE", err)
		}
	}
	return filepath.Join(dir, "pando", "contexts.yaml"), nil
}

// loadContexts reads the context file. One that does not exist holds no contexts.
func loadContexts(path string) (*contextFile, error) {
	file := &contextFile{Contexts: make(map[string]savedContext)}
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return file, nil
	case err != nil:
		return nil, fmt.Errorf("context file: %w", err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(file); err != nil && !errors.Is(err, io.EOF) { // EOF: nothing but comments
		return nil, fmt.Errorf("context file %s: %w", path, oneLine(err))
	}
	if file.Contexts == nil {
		file.Contexts = make(map[string]savedContext)
	}
	for name, c := range file.Contexts {
		file.Contexts[name] = c.relativeTo(filepath.Dir(path))
	}
	return file, nil
}

// write replaces the context file in one step, readable by its owner only.
func (f *contextFile) write(path string) error {
	data, err := yaml.Marshal(f)
	if err != nil {
		return fmt.Errorf("context file: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("context file: %w", err)
	}
	if err := durable.ReplaceFile(path, data, 0o600); err != nil {
		return fmt.Errorf("context file: %w", err)
	}
	return nil
}

// named returns a context, or an error that ends the process with exitNotFound.
func (f *contextFile) named(name string) (savedContext, error) {
	c, ok := f.Contexts[name]
	if !ok {
		return c, withExitCode(exitNotFound, fmt.Errorf("there is no context %q; see pando context list", name))
	}
	return c, nil
}

// saveContext keeps c under name in the user's context file and makes it the current one if
// there is none yet, or if use says so. Paths in c are made absolute. It returns the path of
// the context file.
func saveContext(name string, c savedContext, use bool) (string, error) {
	path, err := contextFilePath()
	if err != nil {
		return "", err
	}
	file, err := loadContexts(path)
	if err != nil {
		return "", err
	}
	if c, err = c.absolute(); err != nil {
		return "", err
	}
	file.Contexts[name] = c
	if use || file.Current == "" {
		file.Current = name
	}
	return path, file.write(path)
}

func (c savedContext) relativeTo(dir string) savedContext {
	for _, path := range []*string{&c.Bundle, &c.Certificate, &c.Key} {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
	return c
}

func (c savedContext) absolute() (savedContext, error) {
	dir, err := os.Getwd()
	if err != nil {
		return c, fmt.Errorf("context: %w", err)
	}
	return c.relativeTo(dir), nil
}
