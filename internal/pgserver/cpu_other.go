//go:build unix && !linux

package pgserver

import (
	"errors"
	"time"
)

// CPU is known on Linux only.
func (s *Server) CPU() (time.Duration, error) {
	return 0, errors.ErrUnsupported
}
