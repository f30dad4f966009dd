package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/pando-ca/pando/internal/durable"
	"github.com/pando-ca/pando/store"
)

// Config says what a backup is made of, and where to.
type Config struct {
	Store   store.Snapshots // required
	Schema  int64           // that this binary knows; required
	Engine  string          // postgres or sqlite, for the header
	Pando   string          // version of the program, for the header
	Records Records         // required
	Lock    *Lock           // required

	Path    string // of the file, which must not be there
	Replace bool   // unless this is set

	// Seal seals the digest of the backup under the seal key, and Unseal is the inverse: the proof of
	// where it comes from. Both are required.
	Seal   func(digest []byte) ([]byte, error)
	Unseal func(proof []byte) ([]byte, error)

	// Progress is told how many rows are written or read back, of how many; twice as many as there
	// are. None: nobody is told.
	Progress func(done, total int64)
}

// Summary is what a backup is.
type Summary struct {
	Header
	Size   int64  // of the file, in octets
	SHA256 string // of the file, in hex
}

// ErrNoCA says that a database holds no CA: there is nothing to back up.
var ErrNoCA = errors.New("the database holds no CA")

// Create makes a backup, and reads it back. When it returns nil, the file is durable and has been
// read, decrypted and compared. It is readable by its owner only. It returns ErrNoCA, and
// store.ErrSchemaNew when the database has been migrated by a newer binary.
func Create(ctx context.Context, cfg Config, now time.Time) (*Summary, error) {
	if err := replaceable(cfg.Path, cfg.Replace); err != nil {
		return nil, err
	}
	file, err := os.CreateTemp(filepath.Dir(cfg.Path), "."+filepath.Base(cfg.Path)+"-*") // mode 0600
	if err != nil {
		return nil, err
	}
	defer os.Remove(file.Name()) // gone already when all went well
	defer file.Close()
	c := creation{Config: cfg, file: file, digest: sha256.New(), now: now}
	if err := c.write(ctx); err != nil {
		return nil, fmt.Errorf("make backup: %w", err)
	}
	if err := c.readBack(ctx); err != nil {
		return nil, fmt.Errorf("read backup back: %w", err)
	}
	return &c.summary, c.publish()
}

// replaceable refuses a path that is taken.
func replaceable(path string, replace bool) error {
	if replace {
		return durable.CheckReplaceable(path)
	}
	_, err := os.Lstat(path)
	switch {
	case err == nil:
		return fmt.Errorf("%s: %w", path, fs.ErrExist)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return err
}

// creation is a backup that is being made.
type creation struct {
	Config
	file    *os.File
	digest  hash.Hash // of the file
	key     *Key      // opens it
	now     time.Time
	done    int64
	summary Summary
}

// write writes the file and makes it durable.
func (c *creation) write(ctx context.Context) error {
	sealed, key, err := c.Lock.open(io.MultiWriter(c.file, c.digest))
	if err != nil {
		return err
	}
	c.key = key
	encoder := newEncoder(sealed)
	if err := c.Store.Snapshot(ctx, func(s store.Snapshot) error { return c.snapshot(ctx, s, encoder) }); err != nil {
		return err
	}
	if err := encoder.trailer(c.Seal); err != nil {
		return err
	}
	if err := sealed.Close(); err != nil {
		return err
	}
	return c.file.Sync()
}

func (c *creation) snapshot(ctx context.Context, s store.Snapshot, to *encoder) error {
	schema, err := s.Schema(ctx)
	switch {
	case err != nil:
		return err
	case schema > c.Schema: // it may have tables and columns that would be left out
		return fmt.Errorf("schema %d, this is %d: %w", schema, c.Schema, store.ErrSchemaNew)
	}
	tables, after := store.TablesAt(c.Schema), c.Records.after(c.now)
	h, err := c.header(ctx, s, tables, after)
	if err != nil {
		return err
	}
	c.summary.Header = *h
	if err := to.header(h); err != nil {
		return err
	}
	for i := range tables {
		t, rows := &tables[i], int64(0)
		err := s.Each(ctx, t, after, func(row store.Row) error {
			rows++
			return c.step(ctx, to.row(t, row))
		})
		if err != nil {
			return err
		}
		if rows != h.Tables[i].Rows {
			return fmt.Errorf("%d rows of %s were counted and %d read", h.Tables[i].Rows, t.Name, rows)
		}
	}
	return nil
}

// header counts.
func (c *creation) header(ctx context.Context, s store.Snapshot, tables []store.Table, after time.Time) (*Header, error) {
	h := &Header{
		Format: formatName, Version: formatVersion, Schema: c.Schema, Pando: c.Pando, Engine: c.Engine,
		CreatedAt: c.now.UTC(), Records: c.Records,
	}
	for i := range tables {
		t := &tables[i]
		rows, err := s.Count(ctx, t, after)
		if err != nil {
			return nil, err
		}
		h.Tables = append(h.Tables, newContent(t, rows))
		if t.Name != generationTable {
			continue
		}
		err = s.Each(ctx, t, after, func(row store.Row) error {
			h.TrustDomain, _ = row[1].(string) // in the order of the columns of store.BackedUp
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if h.TrustDomain == "" {
		return nil, ErrNoCA
	}
	return h, nil
}

// step tells of one more row, unless there was an error or ctx has ended.
func (c *creation) step(ctx context.Context, err error) error {
	if err != nil {
		return err
	}
	c.done++
	if c.Progress != nil {
		c.Progress(c.done, 2*c.summary.Rows())
	}
	return ctx.Err()
}

// readBack reads the file from its beginning, and compares it with what was written: its digest, and
// every row, decrypted.
func (c *creation) readBack(ctx context.Context) error {
	if _, err := c.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	read := sha256.New()
	counted := &counter{in: io.TeeReader(c.file, read)}
	opened, err := open(counted, c.key, c.Schema)
	if err != nil {
		return err
	}
	if err := opened.Rows(func(*store.Table, store.Row) error { return c.step(ctx, nil) }); err != nil {
		return err
	}
	if err := opened.Prove(c.Unseal); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, counted); err != nil { // nothing, or it would not have the same digest
		return err
	}
	if !bytes.Equal(read.Sum(nil), c.digest.Sum(nil)) {
		return fmt.Errorf("the disk gives other octets than it was given: %w", ErrDamaged)
	}
	c.summary.Size, c.summary.SHA256 = counted.n, hex.EncodeToString(read.Sum(nil))
	return nil
}

// publish gives the file its name. A file that has come to be there meanwhile is not replaced,
// unless that was asked for.
func (c *creation) publish() error {
	if err := c.file.Close(); err != nil {
		return err
	}
	if !c.Replace {
		err := os.Link(c.file.Name(), c.Path)
		if err == nil || errors.Is(err, fs.ErrExist) {
			return errors.Join(err, durable.FlushDir(filepath.Dir(c.Path)))
		}
		// A file system without hard links: there is a moment between this look and the rename.
	}
	if err := replaceable(c.Path, c.Replace); err != nil {
		return err
	}
	if err := os.Rename(c.file.Name(), c.Path); err != nil {
		return err
	}
	return durable.FlushDir(filepath.Dir(c.Path))
}

// counter counts what is read.
type counter struct {
	in io.Reader
	n  int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.n += int64(n)
	return n, err
}
