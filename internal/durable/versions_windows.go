package durable

import (
	"errors"
	"os"
	"path/filepath"
	"time"
)

// Current returns the folder of the version in force, or an error that is [fs.ErrNotExist] if
// there is none.
func (v Versions) Current() (string, error) {
	path := filepath.Join(v.Path, v.Link)
	_, err := os.Stat(path)
	return path, err
}

// Publish replaces the files one after the other: links need a privilege on Windows. A reader
// can see a new key with an old certificate for a moment, unless it reads one file with both.
func (v Versions) Publish(set Set) error {
	if set.Owner != (Owner{}) {
		return errors.New("an owner cannot be set on Windows")
	}
	path := filepath.Join(v.Path, v.Link)
	if err := os.MkdirAll(path, set.Mode); err != nil {
		return err
	}
	for _, f := range set.Files {
		if err := ReplaceFile(filepath.Join(path, f.Name), f.Data, f.Mode); err != nil {
			return err
		}
	}
	return nil
}

// Alias is for the links that Windows does not have.
func (v Versions) Alias(string) error {
	return errors.New("there are no symbolic links for every user of Windows")
}

// Prune has nothing to do: there are no versions that are not in force.
func (v Versions) Prune(time.Time, time.Duration) error { return nil }
