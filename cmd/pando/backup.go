package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/pando-ca/pando/migrations"
	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/backup"
	"github.com/pando-ca/pando/store/postgres"
	"github.com/pando-ca/pando/store/sqlite"
)

func newBackupCommand(io stdio) *cobra.Command {
	group := newGroup("backup", "Make backups, and restore from them",
		newBackupCreateCommand(io),
		newBackupVerifyCommand(io),
		newBackupInspectCommand(io),
		newBackupRestoreCommand(io),
	)
	group.Long = `Make backups of a CA, on the machine of the server, and restore from them. A backup is one file
that SQLite and Postgres are both restored from, encrypted by age. The CA's keys are in it as they
are in the database: sealed under the seal key, which is not in it. Keep that elsewhere.`
	return group
}

// backupSource is a database that backups are made of.
type backupSource interface {
	store.Snapshots
	store.Milestones
	io.Closer
}

// openBackupSource opens the configured database, which a server may be using.
func openBackupSource(ctx context.Context, cfg *config) (backupSource, error) {
	if cfg.Database != "" {
		return openDatabase(ctx, cfg)
	}
	db, err := sqlite.OpenBeside(ctx, sqlite.Config{Dir: cfg.Data})
	if err == nil {
		return db, nil
	}
	if !exists(filepath.Join(cfg.Data, sqliteName)) {
		return nil, fmt.Errorf("%w in %s", errNoDatabase, cfg.Data)
	}
	return nil, describeDatabase(err)
}

// proofLabel binds the proof of a backup: nothing else that is sealed can be taken for one.
const proofLabel = "pando backup proof"

func (v *vault) sealProof(digest []byte) ([]byte, error) {
	return v.sealer.Seal(digest, []byte(proofLabel))
}

func (v *vault) openProof(proof []byte) ([]byte, error) {
	return v.sealer.Open(proof, []byte(proofLabel))
}

// newBackup is what all backups of a database have in common.
func newBackup(cfg *config, db store.Snapshots, v *vault) (backup.Config, error) {
	schema, err := cfg.schema()
	if err != nil {
		return backup.Config{}, err
	}
	return backup.Config{
		Store: db, Schema: schema, Engine: string(cfg.dialect()), Pando: readVersion().Version,
		Seal: v.sealProof, Unseal: v.openProof,
	}, nil
}

func (c *config) dialect() migrations.Dialect {
	if c.Database == "" {
		return migrations.SQLite
	}
	return migrations.Postgres
}

// schema is that of this binary.
func (c *config) schema() (int64, error) { return migrations.Latest(c.dialect()) }

// restoreDatabase fills the configured database.
func restoreDatabase(ctx context.Context, cfg *config, r store.Restoration) error {
	if cfg.Database == "" {
		return sqlite.Restore(ctx, sqlite.Config{Dir: cfg.Data}, r)
	}
	return postgres.Restore(ctx, postgres.Config{URL: cfg.Database}, r)
}

// auditBackup is the audit row of a backup.
func auditBackup(made *backup.Summary, path, actor string, now time.Time) store.Audit {
	return store.Audit{
		At: now, Actor: actor, Action: "backup.create", Target: filepath.Base(path),
		Detail: map[string]string{"records": string(made.Records), "rows": strconv.FormatInt(made.Rows(), 10), "sha256": made.SHA256},
	}
}

// backupKeyFlags is what opens a backup.
type backupKeyFlags struct{ identity, passphrase string }

func (f *backupKeyFlags) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.identity, "identity", "i", "", `file with the private key of a recipient, as age-keygen writes it; "-" for standard input`)
	cmd.Flags().StringVar(&f.passphrase, "passphrase-file", "", `file with the passphrase, "-" for standard input`)
}

func (f *backupKeyFlags) key(in io.Reader) (*backup.Key, error) {
	switch {
	case f.identity != "" && f.passphrase != "":
		return nil, usageErrorf("--identity and --passphrase-file exclude each other")
	case f.identity != "":
		text, err := readInput(in, f.identity)
		if err != nil {
			return nil, fmt.Errorf("identity: %w", err)
		}
		return backup.NewKey(string(text))
	case f.passphrase != "":
		passphrase, err := readPassphrase(in, f.passphrase)
		if err != nil {
			return nil, err
		}
		return backup.NewPassphraseKey(passphrase)
	}
	return nil, usageErrorf("--identity or --passphrase-file is needed to open a backup")
}

// backupJSON is a backup.
type backupJSON struct {
	File        string         `json:"file"`
	CreatedAt   time.Time      `json:"created_at"`
	TrustDomain string         `json:"trust_domain"`
	Records     backup.Records `json:"records"`
	Engine      string         `json:"engine"`
	Pando       string         `json:"pando"`
	Schema      int64          `json:"schema"`
	Rows        int64          `json:"rows"`
	Size        int64          `json:"size,omitempty"`
	SHA256      string         `json:"sha256,omitempty"`
	Proof       proof          `json:"proof,omitempty"`
	Tables      []tableJSON    `json:"tables"`
}

// proof is what a reading to the end has proven; empty where nobody has read that far.
type proof string

const (
	proofWhole  proof = "whole"  // it is what was written; nobody has said who wrote it
	proofOrigin proof = "origin" // and was made with the seal key that was given
)

// tableJSON is how much of a table there is.
type tableJSON struct {
	Name string `json:"name"`
	Rows int64  `json:"rows"`
}

func backupResult(path string, b *backup.Summary, proven proof, now time.Time) result {
	value := backupJSON{
		File: path, CreatedAt: b.CreatedAt, TrustDomain: b.TrustDomain, Records: b.Records, Engine: b.Engine, Pando: b.Pando,
		Schema: b.Schema, Rows: b.Rows(), Size: b.Size, SHA256: b.SHA256, Proof: proven,
	}
	for _, t := range b.Tables {
		value.Tables = append(value.Tables, tableJSON{t.Name, t.Rows})
	}
	return result{value: value, table: func(w *tabwriter.Writer) {
		fact(w, "Backup", path)
		fact(w, "Trust domain", printable(b.TrustDomain))
		fact(w, "Created", timeText(b.CreatedAt, now))
		fact(w, "By", printable(fmt.Sprintf("pando %s on %s, schema %d", b.Pando, b.Engine, b.Schema)))
		fact(w, "Records", string(b.Records))
		fact(w, "Rows", strconv.FormatInt(value.Rows, 10))
		if b.SHA256 != "" {
			fact(w, "Size", strconv.FormatInt(b.Size, 10))
			fact(w, "SHA-256", b.SHA256)
		}
		switch proven {
		case proofWhole:
			fact(w, "Verdict", "whole; that this CA has made it takes --seal-key-file")
		case proofOrigin:
			fact(w, "Verdict", "whole, and made with this seal key")
		}
		for _, t := range value.Tables {
			fact(w, "  "+t.Name, strconv.FormatInt(t.Rows, 10))
		}
	}}
}

// rowsBar draws how far rows have come, if somebody looks.
func rowsBar(io stdio, what string) func(done, total int64) {
	file, ok := io.err.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return nil
	}
	var drawn *progressbar.ProgressBar
	return func(done, total int64) {
		if drawn == nil {
			drawn = progressbar.NewOptions64(total, progressbar.OptionSetWriter(file), progressbar.OptionSetDescription(what),
				progressbar.OptionShowCount(), progressbar.OptionThrottle(barPeriod), progressbar.OptionOnCompletion(func() { fmt.Fprintln(file) }))
		}
		_ = drawn.Set64(done) // a terminal that is gone
	}
}

// barPeriod is how often a bar is drawn anew.
const barPeriod = 100 * time.Millisecond
