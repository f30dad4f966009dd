//go:build unix

package client

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// private reports why a file or directory is not this user's alone.
func private(info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok || int(stat.Uid) != os.Geteuid():
		return errors.New("belongs to another user")
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("has mode %04o, which lets others in", info.Mode().Perm())
	}
	return nil
}
