package postgres

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pando-ca/pando/store"
)

// SQLSTATE codes that are told apart (PostgreSQL manual, appendix A).
const (
	codeReadOnly        = "25006"
	codeIdle            = "25P03" // the transaction was ended, for this process was stopped: see session.sql
	codeForeignKey      = "23503"
	codeUnique          = "23505"
	codeCheck           = "23514" // also: no partition for the row
	codeDeadlock        = "40P01"
	codeLockUnavailable = "55P03"
)

// unavailable are the classes of SQLSTATE that say that the server cannot do now what it
// can do at another time.
var unavailable = [...]string{
	"08", // connection
	"28", // authorisation: this server cannot be used
	"3D", // no such database
	"40", // serialization failure, deadlock
	"53", // disk full, out of memory, too many connections
	"57", // shutdown, crash, cancelled, cannot connect now
	"58", // I/O
}

// classify wraps err with the operation and with the error of package store that it means. It
// goes by SQLSTATE and type, never by text. What did not come from the server is the
// network, a deadline or a closed pool: the outcome is not known.
func classify(op string, err error) error {
	if err == nil {
		return nil
	}
	if isStore(err) {
		return fmt.Errorf("%s: %w", op, err)
	}
	var server *pgconn.PgError
	var scan pgx.ScanArgError
	switch {
	case errors.As(err, &scan):
		return fmt.Errorf("%s: %w", op, err)
	case !errors.As(err, &server):
		return fmt.Errorf("%s: %w: %w", op, store.ErrUnavailable, err)
	case server.Code == codeUnique:
		return fmt.Errorf("%s: %w: %w", op, store.ErrExists, err)
	case server.Code == codeForeignKey:
		return fmt.Errorf("%s: %w: %w", op, store.ErrNotFound, err)
	case server.Code == codeReadOnly, server.Code == codeIdle, server.Code == codeLockUnavailable:
		return fmt.Errorf("%s: %w: %w", op, store.ErrUnavailable, err)
	case server.Code[:2] == "22":
		return fmt.Errorf("%s: %w: %w", op, store.ErrInvalid, err)
	}
	for _, class := range unavailable {
		if server.Code[:2] == class {
			return fmt.Errorf("%s: %w: %w", op, store.ErrUnavailable, err)
		}
	}
	return fmt.Errorf("%s: %w", op, err)
}

// classify is the function of this name; and if the server has become read-only, it makes the
// pool connect anew, to the primary that there is now.
func (s *Store) classify(op string, err error) error {
	if hasCode(err, codeReadOnly) {
		s.pool.Reset()
	}
	return classify(op, err)
}

// isStore reports whether err is one that this package itself has chosen.
func isStore(err error) bool {
	for _, known := range [...]error{store.ErrNotFound, store.ErrExists, store.ErrConflict, store.ErrFenced, store.ErrIssuerActive, store.ErrNotEmpty, store.ErrInvalid, store.ErrTooMany, store.ErrUnavailable} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// hasCode reports whether the server refused with this SQLSTATE.
func hasCode(err error, code string) bool {
	var server *pgconn.PgError
	return errors.As(err, &server) && server.Code == code
}
