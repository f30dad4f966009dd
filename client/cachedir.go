package client

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"time"
)

// leftover is the age at which a temporary file of somebody who was killed is removed. A
// write takes milliseconds, so nobody is still at it.
const leftover = time.Hour

// cacheDir is a directory that is this user's alone, for what a restart needs. Its files
// replace each other as a whole, so that several processes can share one: the last to write
// a file wins, and nobody reads half of it. Safe for concurrent use.
type cacheDir struct{ path string }

// openCacheDir makes a directory unless it is there, and refuses one that others may enter,
// or that is theirs. A symbolic link to a directory is followed: whoever can lay it can do
// as much with a directory.
func openCacheDir(path string) (*cacheDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	d := &cacheDir{path}
	root, err := d.open()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	d.tidy(root, time.Now())
	return d, nil
}

// open opens the directory if it is still this user's alone. What is in it cannot lead out.
func (d *cacheDir) open() (*os.Root, error) {
	root, err := os.OpenRoot(d.path)
	if err != nil {
		return nil, err
	}
	info, err := root.Stat(".")
	if err == nil {
		err = private(info)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("directory %s: %w", d.path, err), root.Close())
	}
	return root, nil
}

// tidy removes temporary files that nobody writes any more, since there may be keys in them. On
// a disk that cannot be written they stay: what is in the directory can be read all the same.
func (d *cacheDir) tidy(root *os.Root, now time.Time) {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), temporaryPrefix) {
			continue
		}
		if info, err := entry.Info(); err == nil && now.Sub(info.ModTime()) > leftover {
			root.Remove(entry.Name()) //nolint:errcheck // the next start tries again
		}
	}
}

// read returns the content of a file, at most limit octets. The error wraps [fs.ErrNotExist]
// if there is none. A file that others may read or write is refused.
func (d *cacheDir) read(name string, limit int64) ([]byte, error) {
	root, err := d.open()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	// Before it is opened: to open a pipe would wait for somebody to write into it.
	info, err := root.Lstat(name)
	if err == nil {
		err = privateFile(info)
	}
	if err != nil {
		return nil, fmt.Errorf("file %s: %w", name, err)
	}
	file, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(data)) > limit:
		return nil, fmt.Errorf("file %s is over %d octets", name, limit)
	}
	return data, nil
}

func privateFile(info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return errors.New("is not a regular file")
	}
	return private(info)
}

// temporaryPrefix begins the names of files that are being written.
const temporaryPrefix = ".new-"

// write gives a file a new content in one step: a reader sees the old one or the new one,
// also when the machine stops in between. When it returns without an error, it is on disk.
func (d *cacheDir) write(name string, data []byte) error {
	root, err := d.open()
	if err != nil {
		return err
	}
	defer root.Close()
	temporary := temporaryPrefix + rand.Text()
	file, err := root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := finish(file, data); err != nil {
		return errors.Join(fmt.Errorf("file %s: %w", name, err), root.Remove(temporary))
	}
	if err := root.Rename(temporary, name); err != nil {
		return errors.Join(err, root.Remove(temporary))
	}
	return flush(root)
}

// finish writes data into a new file, makes it durable and closes it, also when it fails.
func finish(file *os.File, data []byte) error {
	err := file.Chmod(0o600) // whatever the umask is
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

// flush makes the names in a directory durable. Windows does that by itself.
func flush(root *os.Root) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
