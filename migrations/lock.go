package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// lockID is the advisory lock of Postgres that one migrating process holds: "pandomig".
const lockID = 0x70616e646f6d6967

const (
	// lockTimeout bounds the wait for the lock of a table, and with it the wait of the insertions
	// behind. It is longer than deadlock_timeout (1 s), after which Postgres ends an autovacuum
	// that is in the way.
	lockTimeout = "2s"
	// lockPause lets the insertions pass that have waited.
	lockPause = 2 * time.Second
	// lockAttempts is how often a locked table is tried: for a minute or so.
	lockAttempts = 20
)

// locker makes a second process wait inside Postgres, which wakes it as soon as the first is
// done or dead. (The locker that comes with goose asks again every few seconds.)
type locker struct{}

func (locker) SessionLock(ctx context.Context, conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, int64(lockID)); err != nil {
		return fmt.Errorf("lock migrations: %w", err)
	}
	// After that lock, which may take as long as the other process does.
	if _, err := conn.ExecContext(ctx, `SET lock_timeout = '`+lockTimeout+`'`); err != nil {
		return fmt.Errorf("bound locks of migrations: %w", err)
	}
	return nil
}

func (locker) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, `RESET lock_timeout`); err != nil {
		return fmt.Errorf("unlock migrations: %w", err)
	}
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_unlock($1)`, int64(lockID)); err != nil {
		return fmt.Errorf("unlock migrations: %w", err)
	}
	return nil
}

// tableLocked reports whether Postgres gave up waiting for a lock, or ended a deadlock with an
// insertion: the same may succeed later.
func tableLocked(err error) bool {
	const lockNotAvailable, deadlockDetected = "55P03", "40P01"
	var answer interface{ SQLState() string }
	return errors.As(err, &answer) && (answer.SQLState() == lockNotAvailable || answer.SQLState() == deadlockDetected)
}
