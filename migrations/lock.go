package migrations

import (
	"context"
	"database/sql"
	"fmt"
)

// lockID is the advisory lock of Postgres that one migrating process holds: "pandomig".
const lockID = 0x70616e646f6d6967

// locker makes a second process wait inside Postgres, which wakes it as soon as the first is
// done or dead. (The locker that comes with goose asks again every few seconds.)
type locker struct{}

func (locker) SessionLock(ctx context.Context, conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, int64(lockID)); err != nil {
		return fmt.Errorf("lock migrations: %w", err)
	}
	return nil
}

func (locker) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_unlock($1)`, int64(lockID)); err != nil {
		return fmt.Errorf("unlock migrations: %w", err)
	}
	return nil
}
