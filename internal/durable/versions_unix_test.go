//go:build !windows

package durable_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/internal/durable"
)

// set is a version of two files.
func set(text string) durable.Set {
	return durable.Set{Label: "v", Mode: 0o750, Files: []durable.File{
		{Name: "a", Data: []byte(text), Mode: 0o600}, {Name: "b", Data: []byte(text), Mode: 0o644},
	}}
}

func publish(t *testing.T, v durable.Versions, s durable.Set) {
	t.Helper()
	if err := v.Publish(s); err != nil {
		t.Fatal(err)
	}
}

func TestAVersionReplacesTheOneBefore(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077)) // which must not matter
	v := durable.Versions{Path: filepath.Join(t.TempDir(), "new", "folder"), Link: "current"}
	if _, err := v.Current(); !os.IsNotExist(err) {
		t.Errorf("before the first version: %v", err)
	}
	uid, gid := os.Geteuid(), os.Getegid()
	if uid == 0 {
		uid, gid = 65534, 65534 // only root can give files away
	}
	for _, text := range []string{"one", "two"} {
		s := set(text)
		s.Owner = durable.Owner{UID: &uid, GID: &gid}
		publish(t, v, s)
		for name, want := range map[string]os.FileMode{"": 0o750, "a": 0o600, "b": 0o644} {
			info, err := os.Stat(filepath.Join(v.Path, "current", name))
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm() != want {
				t.Errorf("%q has mode %v, want %v", name, info.Mode().Perm(), want)
			}
			if stat := info.Sys().(*syscall.Stat_t); int(stat.Uid) != uid || int(stat.Gid) != gid {
				t.Errorf("%q belongs to %d:%d, want %d:%d", name, stat.Uid, stat.Gid, uid, gid)
			}
		}
		data, err := os.ReadFile(filepath.Join(v.Path, "current", "a"))
		if err != nil || string(data) != text {
			t.Errorf("read %q, %v", data, err)
		}
	}
	for _, dir := range []string{v.Path, filepath.Join(v.Path, ".versions")} {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("%s has %v, %v", dir, info.Mode(), err)
		}
	}
}

// The owner of a folder can spoil what is in it; the process that writes there, perhaps as
// root, must not be led to other places.
func TestNothingThatIsPlantedIsFollowed(t *testing.T) {
	for name, test := range map[string]struct {
		plant func(t *testing.T, dir, elsewhere string) error
		want  string // in the error; empty: the version is published
	}{
		"a link in place of the versions": {
			plant: func(_ *testing.T, dir, elsewhere string) error {
				return os.Symlink(elsewhere, filepath.Join(dir, ".versions"))
			},
			want: "escapes",
		},
		"a link to a folder beside it in place of the versions": {
			plant: func(_ *testing.T, dir, _ string) error {
				_ = os.Mkdir(filepath.Join(dir, "beside"), 0o755)
				return os.Symlink("beside", filepath.Join(dir, ".versions"))
			},
			want: "not a folder that only this user can write in",
		},
		"a folder of versions that others can write in": {
			plant: func(_ *testing.T, dir, _ string) error {
				_ = os.Mkdir(filepath.Join(dir, ".versions"), 0o755)
				return os.Chmod(filepath.Join(dir, ".versions"), 0o777)
			},
			want: "not a folder that only this user can write in",
		},
		"a link in force that leads elsewhere": {
			plant: func(_ *testing.T, dir, elsewhere string) error {
				return os.Symlink(elsewhere, filepath.Join(dir, "current"))
			},
		},
		"a file in place of the link": {
			plant: func(_ *testing.T, dir, _ string) error {
				return os.WriteFile(filepath.Join(dir, "current"), []byte("mine"), 0o600)
			},
			want: "is not a link of Pando's",
		},
		"a folder in place of the link": {
			plant: func(_ *testing.T, dir, _ string) error { return os.Mkdir(filepath.Join(dir, "current"), 0o700) },
			want:  "is not a link of Pando's",
		},
		"a folder that everybody can write in": {
			plant: func(_ *testing.T, dir, _ string) error { return os.Chmod(dir, 0o777) },
			want:  "can be written by everybody",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, elsewhere := t.TempDir(), t.TempDir()
			if err := os.WriteFile(filepath.Join(elsewhere, "a"), []byte("not ours"), 0o640); err != nil {
				t.Fatal(err)
			}
			if err := test.plant(t, dir, elsewhere); err != nil {
				t.Fatal(err)
			}
			err := durable.Versions{Path: dir, Link: "current"}.Publish(set("ours"))
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if diff := cmp.Diff([]string{"a"}, names(t, elsewhere)); diff != "" {
				t.Errorf("elsewhere (-want +got):\n%s", diff)
			}
			if data, err := os.ReadFile(filepath.Join(elsewhere, "a")); err != nil || string(data) != "not ours" {
				t.Errorf("the file elsewhere holds %q, %v", data, err)
			}
		})
	}
}

func TestALinkThatLeadsElsewhereIsNoVersion(t *testing.T) {
	v := durable.Versions{Path: t.TempDir(), Link: "current"}
	if err := os.Symlink("/etc", filepath.Join(v.Path, "current")); err != nil {
		t.Fatal(err)
	}
	if dir, err := v.Current(); err == nil {
		t.Errorf("current is %s", dir)
	}
}

func TestAFailureLeavesTheVersionInForceAndNothingElse(t *testing.T) {
	v := durable.Versions{Path: t.TempDir(), Link: "current"}
	publish(t, v, set("one"))
	bad := set("two")
	bad.Files[1].Name = bad.Files[0].Name
	if err := v.Publish(bad); err == nil {
		t.Error("two files of one name are no error")
	}
	if found := names(t, filepath.Join(v.Path, ".versions")); len(found) != 1 {
		t.Errorf("versions: %v", found)
	}
	if data, err := os.ReadFile(filepath.Join(v.Path, "current", "b")); err != nil || string(data) != "one" {
		t.Errorf("in force: %q, %v", data, err)
	}
}

func TestPruneKeepsTheYoungAndTheOneInForce(t *testing.T) {
	v := durable.Versions{Path: t.TempDir(), Link: "current"}
	publish(t, v, set("one"))
	publish(t, v, set("two"))
	now := time.Now()
	for _, step := range []struct {
		keep time.Duration
		want int
	}{{time.Hour, 2}, {time.Second, 1}} {
		if err := v.Prune(now.Add(time.Minute), step.keep); err != nil {
			t.Fatal(err)
		}
		if found := names(t, filepath.Join(v.Path, ".versions")); len(found) != step.want {
			t.Errorf("after %s: versions %v", step.keep, found)
		}
	}
	if data, err := os.ReadFile(filepath.Join(v.Path, "current", "a")); err != nil || string(data) != "two" {
		t.Errorf("in force: %q, %v", data, err)
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
