package client

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestACacheDirectoryIsThisUsersAlone(t *testing.T) {
	onUnix(t)
	for name, test := range map[string]struct {
		make func(path string) error
		want string // in the error; "": it is taken
	}{
		"it is not there":               {make: func(string) error { return nil }},
		"it is there":                   {make: func(path string) error { return os.Mkdir(path, 0o700) }},
		"others may look into it":       {make: mkdir(0o755), want: "has mode 0755"},
		"others may go through it":      {make: mkdir(0o711), want: "has mode 0711"},
		"a group may write in it":       {make: mkdir(0o770), want: "has mode 0770"},
		"it is a file":                  {make: func(path string) error { return os.WriteFile(path, nil, 0o600) }, want: "not a directory"},
		"it is a link to a private one": {make: linked(0o700)},
		"it is a link to an open one":   {make: linked(0o755), want: "has mode 0755"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "cache")
			if err := test.make(path); err != nil {
				t.Fatal(err)
			}
			d, err := openCacheDir(path)
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("error %v, want %q", err, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			if err := d.write("a", []byte("text")); err != nil {
				t.Error(err)
			}
		})
	}
}

func mkdir(mode fs.FileMode) func(path string) error {
	return func(path string) error { return errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, mode)) }
}

func linked(mode fs.FileMode) func(path string) error {
	return func(path string) error { return errors.Join(mkdir(mode)(path+"-real"), os.Symlink(path+"-real", path)) }
}

func onUnix(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no modes")
	}
}

func TestWhatIsReadFromACacheDirectory(t *testing.T) {
	onUnix(t)
	for name, test := range map[string]struct {
		make func(path string) error
		want string // in the error; "": it is read
	}{
		"its own file":                       {make: file(0o600)},
		"a file that it may only read":       {make: file(0o400)},
		"nothing":                            {make: func(string) error { return nil }, want: "no such file"},
		"a file that a group may read":       {make: file(0o640), want: "has mode 0640"},
		"a file that others may write":       {make: file(0o602), want: "has mode 0602"},
		"a directory":                        {make: func(path string) error { return os.Mkdir(path, 0o700) }, want: "not a regular file"},
		"a link, even to a private file":     {make: func(path string) error { return errors.Join(file(0o600)(path+"2"), os.Symlink(path+"2", path)) }, want: "not a regular file"},
		"a file that is longer than allowed": {make: func(path string) error { return os.WriteFile(path, make([]byte, 11), 0o600) }, want: "over 10 octets"},
	} {
		t.Run(name, func(t *testing.T) {
			d := must(openCacheDir(t.TempDir() + "/cache"))
			if err := test.make(filepath.Join(d.path, "a")); err != nil {
				t.Fatal(err)
			}
			data, err := d.read("a", 10)
			switch {
			case test.want == "" && (err != nil || string(data) != "ten octets"):
				t.Errorf("%q, %v", data, err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %v, want %q", err, test.want)
			case errors.Is(err, fs.ErrNotExist) != (test.want == "no such file"):
				t.Errorf("error %v", err)
			}
		})
	}
}

func file(mode fs.FileMode) func(path string) error {
	return func(path string) error {
		return errors.Join(os.WriteFile(path, []byte("ten octets"), 0o600), os.Chmod(path, mode))
	}
}

func TestADirectoryThatIsOpenedToOthersIsOfNoUseAnyMore(t *testing.T) {
	onUnix(t)
	d := must(openCacheDir(t.TempDir() + "/cache"))
	if err := errors.Join(d.write("a", []byte("text")), os.Chmod(d.path, 0o755)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.read("a", 10); err == nil {
		t.Error("it was read")
	}
	if err := d.write("a", nil); err == nil {
		t.Error("it was written")
	}
}

func TestAWriteThatFailsLeavesTheOldContentAndNothingElse(t *testing.T) {
	d := must(openCacheDir(t.TempDir() + "/cache"))
	if err := os.MkdirAll(filepath.Join(d.path, "a", "b"), 0o700); err != nil { // no file can take its place
		t.Fatal(err)
	}
	if err := d.write("a", []byte("text")); err == nil {
		t.Error("it was written")
	}
	if names := namesIn(t, d.path); len(names) != 1 {
		t.Errorf("left behind: %v", names)
	}
}

func TestWritersOfOneFileNeverTearIt(t *testing.T) {
	d := must(openCacheDir(t.TempDir() + "/cache"))
	content := func(n int) []byte { return bytes.Repeat(fmt.Append(nil, n), 10_000) }
	if err := d.write("a", content(0)); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for n := range 4 {
		other := must(openCacheDir(d.path))
		group.Go(func() {
			for range 20 {
				if err := other.write("a", content(n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 200 {
		data, err := d.read("a", 10_000)
		if err != nil || len(data) != 10_000 || !bytes.Equal(data, bytes.Repeat(data[:1], 10_000)) {
			t.Fatalf("%d octets, %v", len(data), err)
		}
	}
	group.Wait()
	if names := namesIn(t, d.path); len(names) != 1 {
		t.Errorf("left behind: %v", names)
	}
}

func TestOldTemporaryFilesAreRemoved(t *testing.T) {
	dir := t.TempDir() + "/cache"
	must(openCacheDir(dir))
	now := time.Now()
	for name, age := range map[string]time.Duration{temporaryPrefix + "OLD": 2 * leftover, temporaryPrefix + "FRESH": 0, "identity.pem": 2 * leftover} {
		path := filepath.Join(dir, name)
		if err := errors.Join(file(0o600)(path), os.Chtimes(path, now.Add(-age), now.Add(-age))); err != nil {
			t.Fatal(err)
		}
	}
	must(openCacheDir(dir))
	if names := namesIn(t, dir); len(names) != 2 || names[0] != temporaryPrefix+"FRESH" || names[1] != "identity.pem" {
		t.Errorf("left: %v", names)
	}
}

func namesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}
