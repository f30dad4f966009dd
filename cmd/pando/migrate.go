package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/pando-ca/pando/store"
)

func newMigrateCommand(std stdio) *cobra.Command {
	source := configSource{env: os.Environ()}
	var databaseURL string
	var offline, dryRun bool
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database to the schema of this version",
		Long: `Bring the database to the schema of this version, while replicas of the version before go on
serving. Several processes may do so at once. Where those replicas could not go on, nothing is changed:
stop them, and use --offline. A database that a newer version has migrated is left as it is: there is no
way back, but earlier versions go on running on it as far as it says so.`,
		Example: "  pando migrate --data /var/lib/pando\n  pando migrate --database postgres://pando@db.example.org/pando --dry-run",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := source.loadFor(databaseURL)
			if err != nil {
				return err
			}
			notice := func(err error) { fmt.Fprintf(std.err, "pando: waiting for the database: %v\n", err) }
			var schema store.Schema
			err = awaitDatabase(cmd.Context(), time.Duration(cfg.Timeouts.Startup), notice, func(ctx context.Context) (err error) {
				if !dryRun {
					return migrateDatabase(ctx, &cfg, offline)
				}
				schema, err = databaseSchema(ctx, &cfg)
				return err
			})
			if err != nil {
				return err
			}
			if dryRun {
				return printSchema(std.out, cfg.databaseName(), &schema)
			}
			_, err = fmt.Fprintf(std.out, "%s has the schema of this version\n", cfg.databaseName())
			return err
		},
	}
	source.flags(cmd)
	cmd.Flags().StringVar(&databaseURL, "database", "", "URL of a Postgres database, instead of a configuration")
	cmd.Flags().BoolVar(&offline, "offline", false, "apply also what replicas of earlier versions cannot run beside: stop them first")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only print what would be applied, and whether replicas can go on meanwhile")
	return cmd
}

// printSchema says what a migration would do.
func printSchema(out io.Writer, name string, s *store.Schema) error {
	text := fmt.Sprintf("%s has schema version %d, this binary %d\n", name, s.Version, s.Latest)
	switch {
	case len(s.Pending) == 0 && s.Since > s.Latest:
		text += fmt.Sprintf("This binary cannot run on it: it is for those of version %d and later.\n", s.Since)
	case len(s.Pending) == 0:
		text += "There is nothing to apply.\n"
	case s.Breaks:
		text += fmt.Sprintf("To apply: %v. All replicas have to be stopped first (--offline): only those of version %d and later can go on.\n", s.Pending, s.Since)
	default:
		text += fmt.Sprintf("To apply: %v. Replicas of version %d and later can go on meanwhile.\n", s.Pending, s.Since)
	}
	_, err := io.WriteString(out, text)
	return err
}

// loadFor is load, or the defaults when the URL of a database is all that is needed.
func (s configSource) loadFor(databaseURL string) (config, error) {
	if databaseURL == "" {
		cfg, err := s.load()
		if err != nil {
			return config{}, err
		}
		if cfg.Database == "" {
			if _, err := os.Stat(cfg.Data); err != nil {
				return config{}, fmt.Errorf("data directory: %w", err)
			}
		}
		return cfg, cfg.Validate()
	}
	if s.file != "" || s.data != "" {
		return config{}, usageErrorf("give --database or a configuration, not both")
	}
	if err := validDatabase(databaseURL); err != nil {
		return config{}, withExitCode(exitUsage, fmt.Errorf("--database: %w", err))
	}
	cfg := defaultConfig()
	cfg.Database = databaseURL
	return cfg, nil
}
