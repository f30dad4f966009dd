// Package migrations holds the schema of both databases, as numbered SQL files, and applies
// them. A released file is never edited: a change is a new file. Migrations only go up.
//
// # Old and new replicas at once
//
// The applied versions are kept in the table schema_version. Beside it, schema_compatibility has
// the oldest version whose binaries may run on the schema as it is ("since"). A binary runs on a
// database that has all of its migrations, and, if there are later ones, on it while since is not
// above its own version. So an upgrade is: migrate under the replicas that run, then replace them
// one by one; and the way back is to install the earlier binary.
//
// This holds as long as a migration only adds (it expands the schema), and adds in such a way that
// the binaries of the release before write correct rows without knowing of it:
//
//   - a table, or a column that may be null or has a constant default: Postgres adds it without
//     writing the table anew;
//   - no column of authorities and generation, whose rows are written anew with each generation:
//     an earlier leader would drop what it does not know of;
//   - no DROP, RENAME or change of a type, no NOT NULL, constraint, trigger or unique index on what
//     an earlier binary writes, no change of rows that are there;
//   - no new meaning for an old column: the first release reads a new value, the next one writes it;
//   - no index on a table that grows with the fleet, which would hold up every insertion while it is
//     built: such an index comes with the partitions that are made from then on.
//
// What has to go (it contracts the schema) goes a release after the last one that used it, in a file
// that says so, in the same transaction:
//
//	UPDATE schema_compatibility SET since = 17 WHERE since < 17;
//
// where 17 is the first version whose binaries do without. A test reads every file and fails on one that
// breaks a rule and does not say this. Applied to Postgres, such a file needs the word of an
// administrator that no earlier replica runs (see Status.Breaks).
//
// # Under load
//
// One process migrates at a time; the others wait for it. A statement waits for lockTimeout at most
// for the lock of a table, since every insertion would wait behind it; then the file is rolled back
// and tried again, after a pause in which the insertions pass.
package migrations
