package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/pando-ca/pando/migrations"
	"github.com/pando-ca/pando/store/backup"
)

func newBackupVerifyCommand(io stdio) *cobra.Command {
	flags, sealKey := &backupKeyFlags{}, ""
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Read a backup to its end",
		Long: `Read a backup to its end, as a restore would, and compare it with its digest. With the seal key (in a
file, or in PANDO_SEAL_KEY), that it was made with this key, too: whoever knows a recipient can make
a file that opens.`,
		Example: `  pando backup verify pando.age --identity key.txt
  pando backup verify pando.age --passphrase-file passphrase --seal-key-file seal.key -o json`,
		Args: cobra.ExactArgs(1),
	}
	flags.addTo(cmd)
	cmd.Flags().StringVar(&sealKey, "seal-key-file", "", "file with the seal key of the CA")
	output := addOutput(cmd, formTable, formJSON, formYAML)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		check, err := newCheck(io, args[0], flags)
		if err != nil {
			return err
		}
		if text := os.Getenv(sealKeyVariable); text != "" || sealKey != "" {
			v, err := openVault(text, sealKey)
			if err != nil {
				return err
			}
			check.Unseal = v.openProof
		}
		proven := proofWhole
		if check.Unseal != nil {
			proven = proofOrigin
		}
		check.Progress = rowsBar(io, "reading")
		found, err := backup.Verify(check)
		if err != nil {
			return err
		}
		return backupResult(args[0], found, proven, time.Now()).write(io.out, output.value)
	}
	return cmd
}

func newBackupInspectCommand(io stdio) *cobra.Command {
	flags := &backupKeyFlags{}
	cmd := &cobra.Command{
		Use:   "inspect FILE",
		Short: "Show what a backup says that it is",
		Long: `Show what a backup says that it is: of which CA, of when, and how much of what is in it. Only its
beginning is read; pando backup verify reads it all.`,
		Example: `  pando backup inspect pando.age --identity key.txt
  pando backup inspect pando.age --passphrase-file passphrase -o json`,
		Args: cobra.ExactArgs(1),
	}
	flags.addTo(cmd)
	output := addOutput(cmd, formTable, formJSON, formYAML)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		check, err := newCheck(io, args[0], flags)
		if err != nil {
			return err
		}
		f, err := backup.Open(check.Path, check.Key, check.Latest)
		if err != nil {
			return err
		}
		defer f.Close()
		return backupResult(args[0], &backup.Summary{Header: *f.Header()}, "", time.Now()).write(io.out, output.value)
	}
	return cmd
}

// newCheck is of a file and what opens it.
func newCheck(io stdio, path string, flags *backupKeyFlags) (backup.Check, error) {
	key, err := flags.key(io.in)
	if err != nil {
		return backup.Check{}, err
	}
	latest, err := migrations.Latest(migrations.SQLite) // both have the same
	return backup.Check{Path: path, Key: key, Latest: latest}, err
}
