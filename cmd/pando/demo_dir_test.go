package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pando-ca/pando/internal/durable"
	"github.com/pando-ca/pando/store/sqlite"
)

func TestADemoEntersOnlyWhatIsFree(t *testing.T) {
	// A path of an earlier demo, with the database that it left.
	earlier := func(t *testing.T) string {
		dir := filepath.Join(t.TempDir(), "demo")
		leave, err := enterDemo(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := sqlite.Migrate(t.Context(), sqlite.Config{Dir: dir}); err != nil {
			t.Fatal(err)
		}
		leave()
		return dir
	}
	t.Run("an earlier demo's is emptied", func(t *testing.T) {
		dir := earlier(t)
		leave, err := enterDemo(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
		if exists(filepath.Join(dir, sqliteName)) || !exists(filepath.Join(dir, demoMarker)) {
			t.Error("the directory is not empty, or is no demo's any more")
		}
	})
	t.Run("one of a demo that runs", func(t *testing.T) {
		dir := earlier(t)
		writeTestFile(t, filepath.Join(dir, "seal.key"), "precious")
		first, err := os.Open(filepath.Join(dir, demoMarker))
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close()
		if err := durable.Lock(first); err != nil {
			t.Fatal(err)
		}
		wantKept(t, dir, "seal.key")
	})
	t.Run("one that a server has open", func(t *testing.T) {
		dir := earlier(t)
		db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		wantKept(t, dir, sqliteName)
	})
	t.Run("one that is not a demo's", func(t *testing.T) {
		dir := t.TempDir()
		writeTestFile(t, filepath.Join(dir, "precious"), "x")
		wantKept(t, dir, "precious")
	})
}

// wantKept lets a demo try to enter a directory that holds a file.
func wantKept(t *testing.T, dir, file string) {
	t.Helper()
	if leave, err := enterDemo(t.Context(), dir); err == nil {
		leave()
		t.Error("entered")
	}
	if !exists(filepath.Join(dir, file)) {
		t.Errorf("%s is gone", file)
	}
}
