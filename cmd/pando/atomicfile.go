package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// replaceFile gives the file at path a new content in one step: a reader sees the old content
// or the new one, also when the machine stops in between.
func replaceFile(path string, data []byte, mode os.FileMode) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name()) // gone already when all went well
	if err := writeAndSync(temporary, data, mode); err != nil {
		return err
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return err
	}
	return flushDir(filepath.Dir(path))
}

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
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil, fmt.Errorf("%s is a directory", path)
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	return &outFile{file, path, mode}, err
}

// write ends with the whole content at the path, durably.
func (o *outFile) write(data []byte) error {
	if err := writeAndSync(o.file, data, o.mode); err != nil {
		return err
	}
	if o.file.Name() != o.path {
		if err := os.Rename(o.file.Name(), o.path); err != nil {
			return err
		}
	}
	o.file = nil
	return flushDir(filepath.Dir(o.path))
}

// discard removes what was made, unless it was written. A nil outFile is fine.
func (o *outFile) discard() {
	if o == nil || o.file == nil {
		return
	}
	o.file.Close()
	os.Remove(o.file.Name())
}

// writeNewFile writes a file that must not exist yet.
func writeNewFile(path string, data []byte, mode os.FileMode) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	return writeAndSync(file, data, mode)
}

func writeAndSync(file *os.File, data []byte, mode os.FileMode) error {
	err := file.Chmod(mode) // whatever the umask
	if err == nil {
		_, err = file.Write(data)
	}
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return err
}

// flushDir makes the names in a folder durable.
func flushDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
