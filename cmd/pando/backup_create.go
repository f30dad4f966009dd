package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/backup"
)

// backupCreateFlags is what a backup is made of and to.
type backupCreateFlags struct {
	source     configSource
	out        string
	force      bool
	records    *choice
	recipients []string
	file       string
	passphrase string
}

func newBackupCreateCommand(io stdio) *cobra.Command {
	f := &backupCreateFlags{source: configSource{env: os.Environ()}}
	cmd := &cobra.Command{
		Use:   "create --out FILE",
		Short: "Make a backup",
		Long: `Make a backup of the configured database, as of one moment. Servers go on meanwhile, on SQLite too.
It is encrypted to recipients (public keys of age) or under a passphrase, and read back before it
gets its name: every row, decrypted. Nothing is written to the disk in the clear.

It takes the seal key, which is not in the backup, to seal a proof that it comes from this CA.`,
		Example: `  pando backup create --data /var/lib/pando --recipient age1… --out pando.age
  pando backup create --config pando.yaml --passphrase-file passphrase --records all --out pando.age`,
		Args: cobra.NoArgs,
	}
	f.source.flags(cmd)
	cmd.Flags().StringVar(&f.out, "out", "", "file to write, which must not be there (required)")
	cmd.Flags().BoolVar(&f.force, "force", false, "replace the file if it is there")
	cmd.Flags().StringArrayVarP(&f.recipients, "recipient", "r", nil, "public key of age, age1… or age1pq1…; more than once for several")
	cmd.Flags().StringVar(&f.file, "recipients-file", "", "file with one recipient a line")
	cmd.Flags().StringVar(&f.passphrase, "passphrase-file", "", `file with a passphrase instead of recipients, "-" for standard input`)
	f.records = addChoice(cmd, "records", "records of which certificates to hold", string(backup.RecordsAll), string(backup.RecordsLive), string(backup.RecordsNone))
	f.records.value = string(backup.RecordsLive)
	cmd.Flags().Lookup("records").DefValue = f.records.value
	output := addOutput(cmd, formTable, formJSON, formYAML)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		now := time.Now()
		made, err := f.create(cmd.Context(), io, now)
		if err != nil {
			return err
		}
		return backupResult(f.out, made, proofOrigin, now).write(io.out, output.value)
	}
	return cmd
}

func (f *backupCreateFlags) create(ctx context.Context, io stdio, now time.Time) (*backup.Summary, error) {
	if f.out == "" {
		return nil, usageErrorf("--out is required")
	}
	lock, err := f.lock(io)
	if err != nil {
		return nil, err
	}
	cfg, err := f.source.load()
	if err != nil {
		return nil, err
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	v, err := openVault(os.Getenv(sealKeyVariable), cfg.SealKeyFile)
	if err != nil {
		return nil, err
	}
	db, err := openBackupSource(ctx, &cfg)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	b, err := newBackup(&cfg, db, v)
	if err != nil {
		return nil, err
	}
	b.Path, b.Replace, b.Lock, b.Records = f.out, f.force, lock, backup.Records(f.records.value)
	b.Progress = rowsBar(io, "writing, and reading back")
	made, err := backup.Create(ctx, b, now)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil, fmt.Errorf("%s is there already; --force replaces it", f.out)
	case errors.Is(err, backup.ErrNoCA):
		return nil, errNoCA
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrSchemaNew):
		return nil, describeDatabase(err)
	case err != nil:
		return nil, err
	}
	if err := db.Reach(ctx, auditBackup(made, f.out, "pando backup create", now), store.MilestoneBackup); err != nil {
		return nil, fmt.Errorf("%s is whole, and could not be noted: %w", f.out, describeDatabase(err))
	}
	return made, nil
}

// lock is what the flags name to encrypt to.
func (f *backupCreateFlags) lock(io stdio) (*backup.Lock, error) {
	if f.passphrase != "" {
		if len(f.recipients) > 0 || f.file != "" {
			return nil, usageErrorf("--passphrase-file and recipients exclude each other: age takes one or the other")
		}
		passphrase, err := readPassphrase(io.in, f.passphrase)
		if err != nil {
			return nil, err
		}
		return backup.NewPassphraseLock(passphrase), nil
	}
	recipients := strings.Join(f.recipients, "\n")
	if f.file != "" {
		text, err := readInput(io.in, f.file)
		if err != nil {
			return nil, fmt.Errorf("recipients: %w", err)
		}
		recipients += "\n" + string(text)
	}
	if strings.TrimSpace(recipients) == "" {
		return nil, usageErrorf("--recipient, --recipients-file or --passphrase-file is needed: no backup is written in the clear")
	}
	return backup.NewLock(recipients)
}
