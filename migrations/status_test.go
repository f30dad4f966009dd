package migrations_test

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/migrations"
)

// release is the migrations of this binary and more, or without some.
func release(t *testing.T, more map[string]string, without ...string) *migrations.Set {
	t.Helper()
	files := fstest.MapFS{}
	folder := os.DirFS("sqlite")
	names, err := fs.Glob(folder, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(folder, name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = &fstest.MapFile{Data: text}
	}
	maps.DeleteFunc(files, func(name string, _ *fstest.MapFile) bool {
		for _, w := range without {
			if name == w {
				return true
			}
		}
		return false
	})
	for name, text := range more {
		files[name] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + text)}
	}
	set, err := migrations.New(migrations.SQLite, files)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestABinaryRunsOnTheSchemaOfLaterReleases(t *testing.T) {
	latest, err := migrations.Latest(migrations.SQLite)
	if err != nil {
		t.Fatal(err)
	}
	const (
		additive = "CREATE TABLE later (a INTEGER) STRICT;\n"
		contract = "DROP TABLE figures;\n"
	)
	tests := map[string]struct {
		later    map[string]string
		breaks   bool  // replicas of this release
		wantErr  error // of this binary afterwards
		declares int64
	}{
		"one adds":                        {later: map[string]string{"90000_a.sql": additive}, declares: 7},
		"one takes away what it needs":    {later: map[string]string{"90000_a.sql": contract + "UPDATE schema_compatibility SET since = 90000 WHERE since < 90000;\n"}, breaks: true, wantErr: migrations.ErrNewer, declares: 90000},
		"one takes away what others need": {later: map[string]string{"90000_a.sql": contract + "UPDATE schema_compatibility SET since = 8 WHERE since < 8;\n"}, declares: 8},
		"one adds, the next takes away":   {later: map[string]string{"90000_a.sql": additive, "90001_b.sql": "DROP TABLE figures;\nUPDATE schema_compatibility SET since = 90000 WHERE since < 90000;\n"}, breaks: true, wantErr: migrations.ErrNewer, declares: 90000},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			ctx, db := t.Context(), openSQLite(t)
			if err := migrations.Apply(ctx, db, migrations.SQLite); err != nil {
				t.Fatal(err)
			}
			next := release(t, tt.later)
			status, err := next.Look(ctx, db)
			if err != nil || !errors.Is(status.Err(), migrations.ErrOlder) {
				t.Fatalf("the next release: %+v, %v, %v", status, status.Err(), err)
			}
			if status.Breaks() != tt.breaks || status.Since != tt.declares || len(status.Pending) != len(tt.later) {
				t.Errorf("the next release: %+v, breaks %t", status, status.Breaks())
			}
			if err := next.Apply(ctx, db); err != nil {
				t.Fatal(err)
			}
			if err := migrations.Check(ctx, db, migrations.SQLite); !errors.Is(err, tt.wantErr) {
				t.Errorf("Check: error %v, want %v", err, tt.wantErr)
			}
			if err := migrations.Apply(ctx, db, migrations.SQLite); !errors.Is(err, tt.wantErr) {
				t.Errorf("Apply: error %v, want %v", err, tt.wantErr)
			}
			status, err = migrations.Look(ctx, db, migrations.SQLite)
			want := migrations.Status{Version: 90000 + int64(len(tt.later)) - 1, Latest: latest, Since: tt.declares}
			if diff := cmp.Diff(want, status); err != nil || diff != "" || status.Breaks() {
				t.Errorf("Look (-want +got), %v:\n%s", err, diff)
			}
		})
	}
}

// TestALowerNumberMayComeLater applies what a branch that was merged later brings.
func TestALowerNumberMayComeLater(t *testing.T) {
	ctx, db := t.Context(), openSQLite(t)
	if err := release(t, nil, "00009_watch.sql").Apply(ctx, db); err != nil {
		t.Fatal(err)
	}
	status, err := migrations.Look(ctx, db, migrations.SQLite)
	if err != nil || !errors.Is(status.Err(), migrations.ErrOlder) || !cmp.Equal(status.Pending, []int64{9}) || status.Breaks() {
		t.Fatalf("%+v, %v, want 9 to be pending", status, err)
	}
	if err := migrations.Apply(ctx, db, migrations.SQLite); err != nil {
		t.Fatal(err)
	}
	wantVersion(t, db, status.Latest, nil)
}

func TestADeclarationNamesOneVersion(t *testing.T) {
	files := fstest.MapFS{"00001_a.sql": {Data: []byte("-- +goose Up\nUPDATE schema_compatibility SET since = 2 WHERE since < 1;\n")}}
	if _, err := migrations.New(migrations.SQLite, files); err == nil || !strings.Contains(err.Error(), "00001_a.sql: declares two versions") {
		t.Errorf("New: error %v", err)
	}
}

func TestAnEmptyDatabaseBreaksNobody(t *testing.T) {
	next := release(t, map[string]string{"90000_a.sql": "DROP TABLE figures;\nUPDATE schema_compatibility SET since = 90000 WHERE since < 90000;\n"})
	status, err := next.Look(t.Context(), openSQLite(t))
	if err != nil || status.Version != 0 || status.Breaks() || status.Since != 90000 {
		t.Errorf("%+v, %v", status, err)
	}
}
