//go:build unix

package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/pando-ca/pando/internal/durable"
)

// TestOnlyFilesAreReplaced lets every way to replace a file meet what is none.
func TestOnlyFilesAreReplaced(t *testing.T) {
	tests := map[string]func(path string) error{
		"a pipe":                    func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a link to a file":          func(path string) error { return os.Symlink(path+".target", path) },
		"a link that leads nowhere": func(path string) error { return os.Symlink("nowhere", path) },
		"a directory":               func(path string) error { return os.Mkdir(path, 0o700) },
	}
	ways := map[string]func(path string) error{
		"ReplaceFile": func(path string) error { return durable.ReplaceFile(path, []byte("new"), 0o600) },
		"openOut": func(path string) error {
			_, err := openOut(path, 0o600, true)
			return err
		},
		"replaceKeyPair": func(path string) error { return replaceKeyPair(path, path+".key", []byte("new"), []byte("new")) },
	}
	for name, put := range tests {
		for way, replace := range ways {
			t.Run(name+" and "+way, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "x")
				if err := os.WriteFile(path+".target", []byte("old"), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := put(path); err != nil {
					t.Fatal(err)
				}
				before := typeOf(t, path)
				if err := replace(path); err == nil {
					t.Error("replaced")
				}
				if after := typeOf(t, path); after != before {
					t.Errorf("was %v, is %v", before, after)
				}
				if names, err := os.ReadDir(filepath.Dir(path)); err != nil || len(names) != 2 {
					t.Errorf("something is left: %v, %v", names, err)
				}
			})
		}
	}
}

func typeOf(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Type()
}
