package sqlite

import (
	"errors"
	"fmt"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/pando-ca/pando/store"
)

// classify wraps err with the operation and with the error of package store that it means, by
// the result code of SQLite. What did not come from SQLite is a deadline or a closed database.
func classify(op string, err error) error {
	if err == nil {
		return nil
	}
	for _, known := range [...]error{store.ErrNotFound, store.ErrExists, store.ErrConflict, store.ErrFenced, store.ErrIssuerActive, store.ErrNotEmpty, store.ErrInvalid, store.ErrTooMany, store.ErrUnavailable} {
		if errors.Is(err, known) {
			return fmt.Errorf("%s: %w", op, err)
		}
	}
	var result *sqlite.Error
	if !errors.As(err, &result) {
		return fmt.Errorf("%s: %w: %w", op, store.ErrUnavailable, err)
	}
	switch result.Code() {
	case lib.SQLITE_CONSTRAINT_UNIQUE, lib.SQLITE_CONSTRAINT_PRIMARYKEY:
		return fmt.Errorf("%s: %w: %w", op, store.ErrExists, err)
	case lib.SQLITE_CONSTRAINT_FOREIGNKEY:
		return fmt.Errorf("%s: %w: %w", op, store.ErrNotFound, err)
	}
	switch result.Code() & 0xff { // the primary code
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_NOMEM, lib.SQLITE_READONLY, lib.SQLITE_INTERRUPT,
		lib.SQLITE_IOERR, lib.SQLITE_FULL, lib.SQLITE_CANTOPEN, lib.SQLITE_PROTOCOL:
		return fmt.Errorf("%s: %w: %w", op, store.ErrUnavailable, err)
	}
	return fmt.Errorf("%s: %w", op, err)
}
