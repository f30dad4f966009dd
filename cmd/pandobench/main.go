// Command pandobench measures how fast a real pando issues, next to the limit that no
// service on this machine can exceed, in one run. Figures are ratios: machines differ, and one
// machine differs from minute to minute.
//
// It deploys the binary that it is given with init and serve, on SQLite and on a Postgres of
// its own with fsync and synchronous commits, and asks for certificates in closed loops over
// loopback TLS. Client, server and database share the cores.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "pandobench:", err)
		os.Exit(1)
	}
}

// options is the command line.
type options struct {
	binary   string
	duration time.Duration
	stores   []string
	only     string
	json     string
	profile  string
	growth   int

	connections int
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("pandobench", flag.ContinueOnError)
	flags.StringVar(&o.binary, "pando", "bin/pando", "the binary to measure")
	flags.DurationVar(&o.duration, "duration", 5*time.Second, "length of each measurement")
	stores := flags.String("stores", "postgres,sqlite", "stores to measure on")
	flags.StringVar(&o.only, "only", "", "measure only the cases whose name contains this")
	flags.StringVar(&o.json, "json", "", "write the figures to this file")
	flags.StringVar(&o.profile, "cpuprofile", "", "have the server write its CPU profile to this file")
	flags.IntVar(&o.connections, "connections", 0, "share this many gRPC connections (default: one for each caller)")
	flags.IntVar(&o.growth, "growth", 0, "instead, compare an empty table with one that holds this many records")
	err := flags.Parse(args)
	o.stores = strings.Split(*stores, ",")
	return o, err
}

// gcPercent is the collector's target in the client, as the server sets for itself: the three
// processes share the cores.
const gcPercent = 400

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	debug.SetGCPercent(gcPercent)
	b := &bench{options: o, report: newReport()}
	if b.requests, err = newRequests(requestPool); err != nil {
		return err
	}
	if o.growth > 0 {
		err = b.runGrowth(ctx)
	} else {
		err = b.runAll(ctx)
	}
	if err != nil {
		return err
	}
	if o.json == "" {
		return nil
	}
	data, err := json.MarshalIndent(b.report, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(o.json, append(data, '\n'), 0o644) //nolint:gosec // figures are no secret
}
