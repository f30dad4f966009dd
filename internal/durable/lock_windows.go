package durable

import (
	"os"

	"golang.org/x/sys/windows"
)

// Lock takes a lock that ends with the process or when the file is closed, or fails at once.
func Lock(file *os.File) error {
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	// The octet that is locked lies past any text, so that the file can still be read.
	return windows.LockFileEx(windows.Handle(file.Fd()), flags, 0, 1, 0, &windows.Overlapped{OffsetHigh: 1})
}
