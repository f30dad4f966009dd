package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/backup"
)

func newBackupRestoreCommand(io stdio) *cobra.Command {
	source, flags, unproven := configSource{env: os.Environ()}, &backupKeyFlags{}, false
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Fill an empty database from a backup",
		Long: `Fill the configured database, which must be empty or not there, from a backup, whichever kind of database
that was made of. The file is read to its end first. Then all is written in one transaction: if it is
interrupted, nothing was, and it can be run again.

The seal key is needed: it proves that the backup is one of this CA, and without it nothing could be
served. Stop every server of the database that was lost, for good. See docs/backup.md for what a
restore means to workloads.`,
		Example: `  pando backup restore pando.age --identity key.txt --data /var/lib/pando
  PANDO_DATABASE=postgres://pando@db.example.org/pando pando backup restore pando.age --identity key.txt --config pando.yaml`,
		Args: cobra.ExactArgs(1),
	}
	source.flags(cmd)
	flags.addTo(cmd)
	cmd.Flags().BoolVar(&unproven, "unproven", false, "restore without the seal key: for reading what is in it; it cannot be told who made it")
	output := addOutput(cmd, formTable, formJSON, formYAML)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		check, err := newCheck(io, args[0], flags)
		if err != nil {
			return err
		}
		cfg, err := source.load()
		if err != nil {
			return err
		}
		if err := cfg.Validate(); err != nil {
			return err
		}
		var v *vault
		if !unproven {
			if v, err = openVault(os.Getenv(sealKeyVariable), cfg.SealKeyFile); err != nil {
				return err
			}
			check.Unseal = v.openProof
		}
		check.Progress = restoreBars(io)
		now := time.Now()
		restored, err := restoreBackup(cmd.Context(), &cfg, check, now)
		if err != nil {
			return err
		}
		if v != nil {
			if err := tryKeys(cmd.Context(), &cfg, v, now); err != nil {
				fmt.Fprintf(io.err, "pando: restored, but it cannot be served as it is: %v\n", err)
			}
		}
		return backupResult(args[0], restored, "", now).write(io.out, output.value)
	}
	return cmd
}

// restoreBackup restores into the configured database.
func restoreBackup(ctx context.Context, cfg *config, check backup.Check, now time.Time) (*backup.Summary, error) {
	return backup.Restore(ctx, backup.RestoreConfig{
		Check: check, TrustDomain: cfg.TrustDomain,
		Audit: store.Audit{At: now, Actor: "pando backup restore", Action: "backup.restore", Target: cfg.TrustDomain},
		Into: func(ctx context.Context, r store.Restoration) error {
			err := restoreDatabase(ctx, cfg, r)
			switch {
			case errors.Is(err, store.ErrNotEmpty):
				return fmt.Errorf("%s: %w: a backup is restored into one that is empty, or not there", cfg.databaseName(), err)
			case errors.Is(err, store.ErrSchemaNew):
				return fmt.Errorf("%s has tables of a newer schema than the backup: restore into one without tables; they are made and migrated", cfg.databaseName())
			case errors.Is(err, backup.ErrDamaged):
				return err
			}
			return describeDatabase(err)
		},
	}, now)
}

// restoreBars draws a bar for each of the two times that the file is read.
func restoreBars(io stdio) func(done, total int64) {
	reading, writing, whole := rowsBar(io, "reading"), rowsBar(io, "writing"), false
	if reading == nil {
		return nil
	}
	return func(done, total int64) {
		if whole {
			writing(done, total)
			return
		}
		reading(done, total)
		whole = done == total
	}
}

// tryKeys opens what was restored, as serve would.
func tryKeys(ctx context.Context, cfg *config, v *vault, now time.Time) error {
	db, err := openDatabase(ctx, cfg)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := v.openToken(&cfg.Keys, db); err != nil {
		return err
	}
	defer v.close()
	gen, err := db.Generation(ctx)
	if err != nil {
		return describeDatabase(err)
	}
	_, err = openSet(v, cfg, gen, now)
	return err
}
