//go:build unix

package main

import (
	"os"
	"syscall"
)

// lockFile takes a lock that ends with the process or when the file is closed, or fails at once.
func lockFile(file *os.File) error {
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
