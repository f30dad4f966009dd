// Package durable writes files that are there as a whole or not at all, also after a crash of
// the machine: single files that replace each other ([ReplaceFile]), and sets of files that
// belong together, such as a key and its certificate ([Versions]).
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// ReplaceFile gives the file at path a new content in one step: a reader sees the old content
// or the new one, also when the machine stops in between. See [CheckReplaceable].
func ReplaceFile(path string, data []byte, mode os.FileMode) error {
	if err := CheckReplaceable(path); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name()) // gone already when all went well
	if err := Finish(temporary, data, mode); err != nil {
		return err
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return err
	}
	return FlushDir(filepath.Dir(path))
}

// CheckReplaceable refuses what a rename would destroy: a device or a pipe that others use, a
// link that has been laid on purpose. A file may be there, or nothing.
func CheckReplaceable(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s is a directory", path)
	case info.Mode().Type() == fs.ModeSymlink:
		return fmt.Errorf("%s is a symbolic link, and would be one no more", path)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file", path)
	}
	return nil
}

// Finish writes data into a new file, gives it its mode whatever the umask is, makes it durable
// and closes it, also when it fails.
func Finish(file *os.File, data []byte, mode os.FileMode) error {
	err := file.Chmod(mode)
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

// FlushDir makes the names in a folder durable. Windows does that by itself.
func FlushDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// WriteNewFile writes a file that must not exist yet.
func WriteNewFile(path string, data []byte, mode os.FileMode) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if err := Finish(file, data, mode); err != nil {
		return err
	}
	return FlushDir(filepath.Dir(path))
}
