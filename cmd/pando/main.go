// Command pando is the certificate authority and its command line: it makes a CA (init), runs
// it (serve), administers it over the REST API (entry, token, cert), and obtains certificates
// for workloads that do not link the client library (get, agent).
//
// This package holds flags, configuration and wiring, one file per command; everything else
// is in the packages that it imports. Nobody imports it.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills, should the first take too long
	code := run(ctx, os.Args[1:], stdio{in: os.Stdin, out: os.Stdout, err: os.Stderr})
	stop()
	os.Exit(code)
}
