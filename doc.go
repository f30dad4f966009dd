// Package pando is the root of the module and holds no code: the program is cmd/pando, the
// library for workloads is the package client, and README.md says where to begin.
//
// What a reader needs to know first is which package may know which. The table that says so
// is deps_test.go, and it is a test.
package pando
