// Package backup writes and reads backups of a CA: one file that either database can be restored
// from, encrypted by age (https://age-encryption.org/v1).
//
// # The file
//
// What is encrypted is lines of JSON, and nothing is compressed, so that a file is never larger than
// it looks:
//
//	{"format":"pando backup","version":1,"schema":10,…,"tables":[{"name":"generation","columns":["number",…],"rows":1},…]}
//	[7,"example.org",3,1790000000000000,"…"]    one for each row, table after table
//	…
//	{"digest":"…","proof":"…"}                  SHA-256 of all lines before, sealed under the seal key
//
// Which tables and columns there are follows from the schema ([store.TablesAt]); the header repeats
// them, and a header that differs is refused. Octets are base64, times microseconds since 1970.
//
// Whoever knows a recipient can encrypt for it: that a file opens says nothing of who made it. The
// proof does: it is the digest, sealed under the key that the CA's keys are sealed under.
//
// # Making one
//
// [Create] writes beside the path that was named, makes that durable, reads all of it back, decrypted,
// and gives it its name then: what is found under the path is whole and was read. If the process dies
// before, a file is left whose name begins with a dot; see [Directory].
//
// # Restoring one
//
// [Restore] reads the whole file before it touches the database, and once more to fill it, in one
// transaction: see [store.Restoration].
package backup
