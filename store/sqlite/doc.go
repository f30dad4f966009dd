// Package sqlite keeps Pando's rows in one directory, in SQLite without cgo: the default when
// no database is configured.
//
// One process at a time uses the directory; a lock on the file pando.lock says so, which the
// kernel drops when the process dies. Inside the process there is one connection that writes
// and a few that read. Writing runs with synchronous = FULL in WAL mode: a commit that
// returned has been synced to the disk. The files can be read by their owner only.
//
// Since there is one writer, the conditions of an issuance and its row are decided one after
// the other in one transaction, and no revocation can come between.
package sqlite
