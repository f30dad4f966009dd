// Package postgres keeps Pando's rows in PostgreSQL 14 or newer, through pgx.
//
// # One insertion
//
// A batch is one round trip and one commit: a pipeline of prepared statements that the server
// runs as one transaction. The first takes an advisory lock in shared mode; the next insert
// rows from arrays (one INSERT … SELECT FROM unnest for each of two kinds of row), with the
// conditions in its WHERE. Each statement takes its own snapshot, after the lock. Revoking a
// certificate, blocking a key and deleting an entry take the same lock exclusively: they wait
// for the insertions in flight, and those that come later see them. So the order of a
// revocation and an issuance is the same on every replica, and neither needs to retry.
//
// A row whose conditions do not hold is left out, and the reason is looked up afterwards:
// refusals are rare. If the connection breaks between, the outcome of the whole batch is
// unknown, and store.ErrUnavailable says so.
//
// # Who follows
//
// A generation is replaced under that lock too, so that each certificate is either durable
// before, and counted by Facts, or judged by the generation that came after. Facts counts live
// certificates as the index entries of an issuer that have not expired, less the revocations,
// and never reads a record; an acknowledgement has a row of its own, which a revocation deletes
// and which a successor's marks.
//
// # Partitions
//
// The certificates are partitioned by the UTC day of not_after. Prepare makes partitions for
// the next 100 days at most: profiles that last for years issue rarely, and a thousand empty
// partitions would make every listing slow to plan. An insertion that finds no partition for a
// day has written nothing; the store then makes the partition and inserts again, so that
// issuance does not depend on the scheduler. Partitions are made beside the table and
// attached, and detached concurrently before they are dropped: neither stops insertions.
//
// # Only the primary
//
// Connections go to a server that accepts writes, also when the connection string lists
// several hosts. When a server turns out to be read-only, as after a failover, the pool drops
// its connections and looks for the primary again. Commits are durable: a server that is
// configured with synchronous_commit = off is overruled.
package postgres
