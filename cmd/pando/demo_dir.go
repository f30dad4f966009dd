package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pando-ca/pando/internal/durable"
	"github.com/pando-ca/pando/store/sqlite"
)

// demoMarker is the file that says that a directory is a demo's and may be emptied. A demo
// that runs keeps it locked.
const demoMarker = "pando-demo.txt"

// enterDemo makes the directory of a demo, or empties that of an earlier one, and nothing that
// is not one or is in use. No other demo enters it until leave is called.
func enterDemo(ctx context.Context, dir string) (leave func(), err error) {
	_, err = os.Stat(dir)
	if errors.Is(err, os.ErrNotExist) {
		err = os.MkdirAll(dir, 0o700)
	} else if !exists(filepath.Join(dir, demoMarker)) {
		return nil, fmt.Errorf("%s exists and is not an earlier demo's: remove it, or choose another with --data", dir)
	}
	if err != nil {
		return nil, err
	}
	marker, err := os.OpenFile(filepath.Join(dir, demoMarker), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	leave = func() { marker.Close() } // this unlocks
	if err := durable.Lock(marker); err != nil || inUse(ctx, dir) {
		leave()
		return nil, fmt.Errorf("%s is in use by another demo or server: stop it, or choose another with --data", dir)
	}
	if err := emptyDemo(dir, marker); err != nil {
		leave()
		return nil, err
	}
	return leave, nil
}

// inUse reports whether a server, which need not be a demo's, has the database of a directory open.
func inUse(ctx context.Context, dir string) bool {
	db, err := sqlite.Open(ctx, sqlite.Config{Dir: dir})
	if err == nil {
		err = db.Close()
	}
	return errors.Is(err, sqlite.ErrInUse)
}

// emptyDemo removes everything but the marker, which stays locked.
func emptyDemo(dir string, marker *os.File) error {
	if _, err := marker.WriteString("made by pando demo; it may be removed\n"); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() == demoMarker {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}
