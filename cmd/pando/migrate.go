package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
)

func newMigrateCommand(io stdio) *cobra.Command {
	source := configSource{env: os.Environ()}
	var databaseURL string
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database to the schema of this version",
		Long: `Bring the database to the schema of this version. Several processes may do so at once. A
database that a newer version has migrated is left as it is: there is no way back.`,
		Example: "  pando migrate --data /var/lib/pando\n  pando migrate --database postgres://pando@db.example.org/pando",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := source.loadFor(databaseURL)
			if err != nil {
				return err
			}
			notice := func(err error) { fmt.Fprintf(io.err, "pando: waiting for the database: %v\n", err) }
			err = awaitDatabase(cmd.Context(), time.Duration(cfg.Timeouts.Startup), notice, func(ctx context.Context) error {
				return migrateDatabase(ctx, &cfg)
			})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(io.out, "%s has the schema of this version\n", cfg.databaseName())
			return err
		},
	}
	source.flags(cmd)
	cmd.Flags().StringVar(&databaseURL, "database", "", "URL of a Postgres database, instead of a configuration")
	return cmd
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
