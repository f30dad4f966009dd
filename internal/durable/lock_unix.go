//go:build unix

package durable

import (
	"os"
	"syscall"
)

// Lock takes a lock that ends with the process or when the file is closed, or fails at once.
func Lock(file *os.File) error {
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
