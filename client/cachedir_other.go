//go:build !unix

package client

import "io/fs"

// private reports nothing: the access lists of such systems are not looked at.
func private(fs.FileInfo) error { return nil }
