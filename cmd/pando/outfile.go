package main

import (
	"os"
	"path/filepath"

	"github.com/pando-ca/pando/internal/durable"
)

// outFile is a file that will be written once something is at hand that cannot be had again.
// It is opened before that, so that a path that cannot be written shows in time.
type outFile struct {
	file *os.File
	path string
	mode os.FileMode
}

// openOut makes a file that must not exist yet, or, with replace, one that takes the place of
// what is there when it is written.
func openOut(path string, mode os.FileMode, replace bool) (*outFile, error) {
	if !replace {
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		return &outFile{file, path, mode}, err
	}
	if err := durable.CheckReplaceable(path); err != nil {
		return nil, err
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	return &outFile{file, path, mode}, err
}

// write ends with the whole content at the path, durably.
func (o *outFile) write(data []byte) error {
	if err := durable.Finish(o.file, data, o.mode); err != nil {
		return err
	}
	if o.file.Name() != o.path {
		if err := os.Rename(o.file.Name(), o.path); err != nil {
			return err
		}
	}
	o.file = nil
	return durable.FlushDir(filepath.Dir(o.path))
}

// discard removes what was made, unless it was written. A nil outFile is fine.
func (o *outFile) discard() {
	if o == nil || o.file == nil {
		return
	}
	o.file.Close()
	os.Remove(o.file.Name())
}
