// Package pgserver runs a throw-away PostgreSQL server from the binaries of this machine, for
// tests and benchmarks. The server listens on a Unix socket in a directory that only its user
// can enter, keeps its data there too, and leaves nothing behind. On Linux it dies with the
// process that started it.
package pgserver
