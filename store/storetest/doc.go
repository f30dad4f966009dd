// Package storetest is the conformance suite of the stores: every promise of package store as
// a test, run against each implementation. It also makes rows for the tests of other packages.
package storetest
