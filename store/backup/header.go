package backup

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pando-ca/pando/store"
)

// Records is which certificates a backup has the records of.
type Records string

// Choices of records. What goes with a record, such as the acknowledgement of its holder, goes with it.
const (
	RecordsAll  Records = "all"
	RecordsLive Records = "live" // those that have not expired
	RecordsNone Records = "none"
)

// after is the end that certificates must have beyond, to be held.
func (r Records) after(now time.Time) time.Time {
	switch r {
	case RecordsAll:
		return time.Unix(0, 0)
	case RecordsNone:
		return time.Date(9999, time.December, 31, 0, 0, 0, 0, time.UTC)
	}
	return now
}

// Valid reports whether r is one of the choices.
func (r Records) Valid() bool { return r == RecordsAll || r == RecordsLive || r == RecordsNone }

const (
	formatName    = "pando backup"
	formatVersion = 1
)

// Header is the first line of a backup.
type Header struct {
	Format      string    `json:"format"`
	Version     int       `json:"version"`
	Schema      int64     `json:"schema"` // of the database
	Pando       string    `json:"pando"`  // version of the program
	Engine      string    `json:"engine"` // postgres or sqlite
	TrustDomain string    `json:"trust_domain"`
	CreatedAt   time.Time `json:"created_at"`
	Records     Records   `json:"records"`
	Tables      []Content `json:"tables"`
}

// Content is how much of a table there is.
type Content struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
	Rows    int64    `json:"rows"`
}

// Rows is how many rows there are in all.
func (h *Header) Rows() int64 {
	var n int64
	for _, t := range h.Tables {
		n += t.Rows
	}
	return n
}

// newContent is the content of a table with so many rows.
func newContent(t *store.Table, rows int64) Content {
	c := Content{Name: t.Name, Rows: rows}
	for _, column := range t.Columns {
		c.Columns = append(c.Columns, column.Name)
	}
	return c
}

// Errors of reading a backup.
var (
	// ErrDamaged says that a file is no whole backup: it is truncated, altered, or none at all.
	ErrDamaged = errors.New("backup is damaged, or is none")
	// ErrNewer says that a newer version of Pando has made it.
	ErrNewer = errors.New("backup is of a newer version of pando")
	// ErrProof says that it was not made with the seal key at hand.
	ErrProof = errors.New("backup was not made with this seal key, or was altered")
)

// generationTable has one row, which names the CA.
const generationTable = "generation"

const (
	maxTableRows = 1 << 40 // so that a sum of them overflows nothing
	maxVersion   = 100     // octets of the text
)

// check judges a header. latest is the schema of this binary.
func (h *Header) check(latest int64) error {
	switch {
	case h.Format != formatName:
		return fmt.Errorf("format %.20q: %w", h.Format, ErrDamaged)
	case h.Version > formatVersion:
		return fmt.Errorf("format %d, this is %d: %w", h.Version, formatVersion, ErrNewer)
	case h.Schema > latest:
		return fmt.Errorf("schema %d, this is %d: %w", h.Schema, latest, ErrNewer)
	case h.Version != formatVersion, h.Schema < store.FirstBackup:
		return fmt.Errorf("format %d, schema %d: %w", h.Version, h.Schema, ErrDamaged)
	case !h.Records.Valid(), h.TrustDomain == "", h.CreatedAt.IsZero(), len(h.Pando) > maxVersion:
		return fmt.Errorf("header: %w", ErrDamaged)
	}
	tables := store.TablesAt(h.Schema)
	if len(h.Tables) != len(tables) {
		return fmt.Errorf("%d tables, want %d: %w", len(h.Tables), len(tables), ErrDamaged)
	}
	for i, t := range h.Tables {
		want := newContent(&tables[i], t.Rows)
		switch {
		case t.Name != want.Name:
			return fmt.Errorf("table %.40q, want %s: %w", t.Name, want.Name, ErrDamaged)
		case !slices.Equal(t.Columns, want.Columns):
			return fmt.Errorf("columns of %s: %w", t.Name, ErrDamaged)
		case t.Rows < 0 || t.Rows > maxTableRows, (tables[i].Seeded || t.Name == generationTable) && t.Rows != 1:
			return fmt.Errorf("%d rows of %s: %w", t.Rows, t.Name, ErrDamaged)
		}
	}
	return nil
}

// trailer is the last line of a backup.
type trailer struct {
	Digest []byte `json:"digest"`          // SHA-256 of all lines before
	Proof  []byte `json:"proof,omitempty"` // see Config.Prove
}
