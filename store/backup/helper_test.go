package backup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/pando-ca/pando/migrations"
	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/backup"
	"github.com/pando-ca/pando/store/postgres"
	"github.com/pando-ca/pando/store/sqlite"
	"github.com/pando-ca/pando/store/storetest/pgtest"
)

// opened is what the tests need of a store.
type opened interface {
	store.Snapshots
	store.Milestones
	store.Generations
	store.Records
	store.Acks
	store.RevocationLog
	store.Leases
	store.Audits
	store.Entries
	store.EntryVersions
	store.MTLSPolicies
	store.MTLSVersions
	store.Tokens
	store.Inserter
	store.Revocations
	store.KeyIntents
}

// place is an empty database of one of the engines.
type place struct {
	engine  string
	migrate func(context.Context) error
	prepare func(ctx context.Context, now, until time.Time) error
	restore func(context.Context, store.Restoration) error
	open    func(*testing.T) opened
}

func newPlace(t *testing.T, engine string) place {
	t.Helper()
	if engine == "sqlite" {
		cfg := sqlite.Config{Dir: filepath.Join(t.TempDir(), "data")}
		return place{engine,
			func(ctx context.Context) error { return sqlite.Migrate(ctx, cfg) },
			func(context.Context, time.Time, time.Time) error { return nil },
			func(ctx context.Context, r store.Restoration) error { return sqlite.Restore(ctx, cfg, r) },
			func(t *testing.T) opened {
				s, err := sqlite.Open(t.Context(), cfg)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { s.Close() })
				return s
			},
		}
	}
	cfg := postgres.Config{URL: pgtest.New(t)}
	return place{engine,
		func(ctx context.Context) error { return postgres.Migrate(ctx, cfg) },
		func(ctx context.Context, now, until time.Time) error {
			s, err := postgres.Open(ctx, cfg)
			if err != nil {
				return err
			}
			return errors.Join(s.Prepare(ctx, now, until), s.Close())
		},
		func(ctx context.Context, r store.Restoration) error { return postgres.Restore(ctx, cfg, r) },
		func(t *testing.T) opened {
			s, err := postgres.Open(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			return s
		},
	}
}

// latest is the schema of this binary.
func latest(t testing.TB) int64 {
	t.Helper()
	schema, err := migrations.Latest(migrations.SQLite)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// contents is the rows of each table, as texts in order.
type contents map[string][]string

// read reads a whole store.
func read(t *testing.T, s store.Snapshots) contents {
	t.Helper()
	all := make(contents)
	err := s.Snapshot(t.Context(), func(view store.Snapshot) error {
		for _, table := range store.TablesAt(latest(t)) {
			rows := []string{}
			err := view.Each(t.Context(), &table, time.Unix(0, 0), func(row store.Row) error {
				rows = append(rows, fmt.Sprintf("%#v", row))
				return nil
			})
			if err != nil {
				return err
			}
			slices.Sort(rows)
			all[table.Name] = rows
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// synthetic is rows of every table, of every kind of value, that refer to each other by chance: the
// texts of the n-th row of each table are equal.
func synthetic(t testing.TB, rows int) func(write func(*store.Table, []store.Row) error) error {
	return func(write func(*store.Table, []store.Row) error) error {
		for _, table := range store.TablesAt(latest(t)) {
			n := rows
			if table.Seeded || table.Name == "generation" {
				n = 1
			}
			part := make([]store.Row, n)
			for i := range part {
				for at, c := range table.Columns {
					part[i] = append(part[i], value(c, i, at))
				}
			}
			if err := write(&table, part); err != nil {
				return err
			}
		}
		return nil
	}
}

// value is a value for a column that differs from row to row.
func value(c store.Column, row, column int) any {
	if c.Nullable && row%2 == 1 {
		return nil
	}
	switch c.Kind {
	case store.KindOctets:
		if row == 0 && !strings.Contains("serial hash digest key_hash reference", c.Name) {
			return []byte{}
		}
		return []byte{0, 0xff, byte(column), byte(row), byte(row >> 8)}
	case store.KindText:
		return fmt.Sprintf("row %d\n\"é\u2028<&>\\", row)
	case store.KindInt:
		return int64(row + 1)
	case store.KindFloat:
		return 0.1 + float64(row)/3
	case store.KindBool:
		return row%2 == 0
	case store.KindTime:
		// 1970, so that every choice of records but all leaves them out; several days of partitions.
		return time.UnixMicro(int64(row%40+1)*13*3600*1e6 + 123457 + int64(row)).UTC()
	case store.KindList:
		return []string{"a", fmt.Sprint(row), ""}[:row%4]
	case store.KindMap:
		return map[string]string{"k\u2028": fmt.Sprint(row), "a": ""}
	}
	return nil
}

// seal stands for the seal key.
func seal(digest []byte) ([]byte, error) { return append([]byte("sealed "), digest...), nil }

func unseal(proof []byte) ([]byte, error) {
	digest, ok := bytes.CutPrefix(proof, []byte("sealed "))
	if !ok {
		return nil, errors.New("sealed under another key")
	}
	return digest, nil
}

// keys is a recipient and the key that opens what is encrypted to it.
func keys(t testing.TB) (*backup.Lock, *backup.Key, string) {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	lock, err := backup.NewLock(identity.Recipient().String())
	if err != nil {
		t.Fatal(err)
	}
	key, err := backup.NewKey(identity.String())
	if err != nil {
		t.Fatal(err)
	}
	return lock, key, identity.Recipient().String()
}

// filled is a store with synthetic rows.
func filled(t *testing.T, engine string, rows int) opened {
	t.Helper()
	p := newPlace(t, engine)
	err := p.restore(t.Context(), store.Restoration{Schema: latest(t), Audit: audit(), Rows: synthetic(t, rows)})
	if err != nil {
		t.Fatal(err)
	}
	return p.open(t)
}

func audit() store.Audit { return store.Audit{At: time.Now(), Actor: "test", Action: "backup.restore"} }

// config is of a backup of a store.
func config(t *testing.T, s store.Snapshots, lock *backup.Lock) backup.Config {
	t.Helper()
	return backup.Config{
		Store: s, Schema: latest(t), Engine: "sqlite", Pando: "v0", Records: backup.RecordsAll, Lock: lock,
		Path: filepath.Join(t.TempDir(), "backup"), Seal: seal, Unseal: unseal,
	}
}

// restore restores a file.
func restore(t *testing.T, path string, key *backup.Key, domain string, p place) (*backup.Summary, error) {
	t.Helper()
	return backup.Restore(t.Context(), backup.RestoreConfig{
		Check:       backup.Check{Path: path, Key: key, Latest: latest(t), Unseal: unseal},
		TrustDomain: domain, Audit: audit(), Into: p.restore,
	}, time.Now())
}
