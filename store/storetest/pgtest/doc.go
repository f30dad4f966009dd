// Package pgtest gives tests a PostgreSQL database of their own: on the server that
// PANDO_TEST_DATABASE_URL names, or else on a throw-away one that is started from the
// binaries of this machine. A test that finds neither fails; it is never skipped.
//
// The server of a test process is shared: it starts with the first test that asks for a
// database and stops when no test uses one any more. A package with many such tests keeps it
// up between them:
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
package pgtest
