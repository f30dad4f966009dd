package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"runtime/pprof"

	"github.com/spf13/cobra"
)

func newServeCommand(io stdio) *cobra.Command {
	source := configSource{env: os.Environ()}
	var migrate bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the CA",
		Long: `Run the CA that pando init made, until SIGTERM or SIGINT: then requests in flight finish,
what waits to be recorded is recorded, and it exits with 0.

It refuses to start, with one line that says why, on a configuration that it does not
understand, a database that it cannot run on, keys that do not match, and certificates that the
issuer cannot cover. It makes no CA.

It sends traces of requests where the standard variables of OpenTelemetry say so, such as
OTEL_EXPORTER_OTLP_ENDPOINT.`,
		Example: "  pando serve --data /var/lib/pando\n  pando serve --config /etc/pando/pando.yaml --migrate",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := source.load()
			if err != nil {
				return err
			}
			cfg.Migrate = cfg.Migrate || migrate
			if err := cfg.Validate(); err != nil {
				return err
			}
			return serve(cmd.Context(), &cfg, os.Getenv(sealKeyVariable), newLog(io.err, &cfg.Log))
		},
	}
	source.flags(cmd)
	cmd.Flags().BoolVar(&migrate, "migrate", false, "apply the migrations that the database lacks first; not those that replicas cannot run beside")
	return cmd
}

// serve builds the parts of the server in order, and runs them until ctx ends.
func serve(ctx context.Context, cfg *config, sealKeyText string, log *slog.Logger) (err error) {
	tuneCollector()
	stopProfile, err := startProfile(cfg.Debug.CPUProfile)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopProfile()) }()

	d, err := newDaemon(ctx, cfg, sealKeyText, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	return d.run(ctx)
}

// gcPercent makes the collector run a quarter as often as by default. The live heap of a CA is
// small, a few tens of MiB, while each request leaves some ten KiB of garbage: measured, a
// tenth of the throughput for memory that nobody misses. GOGC overrides it; GOMEMLIMIT bounds
// the memory as in every Go program.
const gcPercent = 400

func tuneCollector() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// startProfile writes a CPU profile to path until stop is called. An empty path means none.
func startProfile(path string) (stop func() error, err error) {
	if path == "" {
		return func() error { return nil }, nil
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("debug.cpu_profile: %w", err)
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(fmt.Errorf("debug.cpu_profile: %w", err), file.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return file.Close()
	}, nil
}

// newLog is the log of a server. The configuration is valid.
func newLog(out io.Writer, cfg *logConfig) *slog.Logger {
	level, err := cfg.level()
	if err != nil {
		level = slog.LevelInfo
	}
	options := &slog.HandlerOptions{Level: level}
	if cfg.Format == "text" {
		return slog.New(slog.NewTextHandler(out, options))
	}
	return slog.New(slog.NewJSONHandler(out, options))
}
