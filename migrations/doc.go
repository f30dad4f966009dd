// Package migrations holds the schema of both databases, as numbered SQL files, and applies
// them. A released file is never edited: a change is a new file.
//
// The applied versions are kept in the table schema_version. A binary runs on exactly the
// version that it was built with: on an older one its queries would fail, on a newer one
// they might write rows that the newer binary cannot trust. Migrations only go up.
package migrations
