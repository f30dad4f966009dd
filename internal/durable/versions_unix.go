//go:build !windows

package durable

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// versionsDir is where the versions are.
const versionsDir = ".versions"

// Current returns the folder of the version in force, or an error that is [fs.ErrNotExist] if
// there is none.
func (v Versions) Current() (string, error) {
	target, err := os.Readlink(filepath.Join(v.Path, v.Link))
	if err != nil {
		return "", err
	}
	if filepath.Dir(target) != versionsDir {
		return "", fmt.Errorf("%s leads to %s, where no version is", filepath.Join(v.Path, v.Link), target)
	}
	return filepath.Join(v.Path, target), nil
}

// Publish writes a version and puts it in force.
func (v Versions) Publish(set Set) error {
	root, versions, err := v.open()
	if err != nil {
		return err
	}
	defer root.Close()
	defer versions.Close()
	name, err := write(versions, set)
	if err != nil {
		return errors.Join(err, versions.RemoveAll(name))
	}
	// The commit point. If we crash before it the old version is in force, after it the new one.
	if err := link(root, filepath.Join(versionsDir, name), v.Link); err != nil {
		return errors.Join(err, versions.RemoveAll(name))
	}
	return flush(root)
}

// Alias makes DIR/name lead to the file of that name in the version in force.
func (v Versions) Alias(name string) error {
	root, versions, err := v.open()
	if err != nil {
		return err
	}
	defer root.Close()
	defer versions.Close()
	return link(root, filepath.Join(v.Link, name), name)
}

// Prune removes the versions that are not in force and have not changed for keep: a slow reader
// may still be in a younger one, or another process about to switch to it.
func (v Versions) Prune(now time.Time, keep time.Duration) error {
	current, err := v.Current()
	if err != nil {
		return err
	}
	root, versions, err := v.open()
	if err != nil {
		return err
	}
	defer root.Close()
	defer versions.Close()
	entries, err := fs.ReadDir(versions.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || e.Name() == filepath.Base(current) || now.Sub(info.ModTime()) < keep {
			continue
		}
		if err := versions.RemoveAll(e.Name()); err != nil {
			return err
		}
	}
	return nil
}

// open opens DIR and the folder of the versions in it, and makes both if need be. It refuses
// folders in which others could put things between its steps.
func (v Versions) open() (root, versions *os.Root, err error) {
	if err := makeDir(v.Path); err != nil {
		return nil, nil, err
	}
	if root, err = os.OpenRoot(v.Path); err != nil {
		return nil, nil, err
	}
	info, err := root.Stat(".")
	if err == nil && info.Mode().Perm()&0o002 != 0 {
		err = fmt.Errorf("%s can be written by everybody: what is put there could be replaced by anybody", v.Path)
	}
	if err == nil {
		versions, err = openVersions(root)
	}
	if err != nil {
		return nil, nil, errors.Join(err, root.Close())
	}
	return root, versions, nil
}

// makeDir makes a folder that others can look into, whatever the umask.
func makeDir(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // the programs that read it may run as other users
		return err
	}
	if err := os.Mkdir(path, 0o755); err != nil { //nolint:gosec // the same
		return err
	}
	return os.Chmod(path, 0o755) //nolint:gosec // the same
}

// openVersions opens the folder of the versions, if it is one and nobody else can write in it.
func openVersions(root *os.Root) (*os.Root, error) {
	made := true
	if err := root.Mkdir(versionsDir, 0o755); errors.Is(err, fs.ErrExist) {
		made = false
	} else if err != nil {
		return nil, err
	}
	found, err := root.Lstat(versionsDir)
	if err != nil {
		return nil, err
	}
	versions, err := root.OpenRoot(versionsDir)
	if err != nil {
		return nil, err
	}
	opened, err := versions.Stat(".")
	switch {
	case err != nil:
	case !os.SameFile(found, opened), !ours(opened), opened.Mode().Perm()&0o022 != 0:
		err = fmt.Errorf("%s is not a folder that only this user can write in", filepath.Join(root.Name(), versionsDir))
	case made:
		err = versions.Chmod(".", 0o755) // whatever the umask
	}
	if err != nil {
		return nil, errors.Join(err, versions.Close())
	}
	return versions, nil
}

// ours reports whether a file belongs to the user of this process.
func ours(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}

// write makes a version and returns its name.
func write(versions *os.Root, set Set) (name string, err error) {
	name = set.Label + "-" + rand.Text()[:12]
	if err := versions.Mkdir(name, 0o700); err != nil {
		return name, err
	}
	folder, err := versions.OpenRoot(name)
	if err != nil {
		return name, err
	}
	defer folder.Close()
	for _, f := range set.Files {
		if err := writeNew(folder, f, set.Owner); err != nil {
			return name, err
		}
	}
	dir, err := folder.Open(".")
	if err != nil {
		return name, err
	}
	defer dir.Close()
	if err := set.Owner.give(dir); err != nil {
		return name, err
	}
	if err := errors.Join(dir.Chmod(set.Mode), dir.Sync()); err != nil {
		return name, err
	}
	return name, flush(versions)
}

// writeNew writes one file. Its owner and mode are set through the open file, never by name.
func writeNew(folder *os.Root, f File, owner Owner) error {
	file, err := folder.OpenFile(f.Name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := owner.give(file); err != nil {
		return errors.Join(err, file.Close())
	}
	return Finish(file, f.Data, f.Mode)
}

// give makes a file the owner's.
func (o Owner) give(file *os.File) error {
	if o.UID == nil && o.GID == nil {
		return nil
	}
	uid, gid := -1, -1
	if o.UID != nil {
		uid = *o.UID
	}
	if o.GID != nil {
		gid = *o.GID
	}
	return file.Chown(uid, gid)
}

// link points a symbolic link in the folder at target, in one step. What is no link is not
// replaced.
func link(root *os.Root, target, name string) error {
	info, err := root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case info.Mode()&fs.ModeSymlink == 0:
		return fmt.Errorf("%s exists and is not a link of Pando's", filepath.Join(root.Name(), name))
	}
	if now, err := root.Readlink(name); err == nil && now == target {
		return nil
	}
	temporary := ".link-" + rand.Text()[:12]
	if err := root.Symlink(target, temporary); err != nil {
		return err
	}
	if err := root.Rename(temporary, name); err != nil {
		return errors.Join(err, root.Remove(temporary))
	}
	return nil
}

// flush makes the names in a folder durable.
func flush(root *os.Root) error {
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
