package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Places in partition_lock.sql.
const (
	lockMaking   = 0
	lockDropping = 1
)

// partitionPrefix begins the name of each partition; the date of its day follows.
const partitionPrefix = "certificates_d"

// partition is a table that holds one day of certificates.
type partition struct {
	Name  string
	State string // attached, detaching or detached; see partition_list.sql
}

// day is the UTC day that the name tells.
func (p partition) day() (int, error) {
	t, err := time.Parse("20060102", strings.TrimPrefix(p.Name, partitionPrefix))
	return dayOf(t), err
}

// makePartitions makes the partitions of the given days that are not there.
func (s *Store) makePartitions(ctx context.Context, days map[int]bool) error {
	return s.withPartitionLock(ctx, lockMaking, func(conn *pgx.Conn) error {
		have, err := listPartitions(ctx, conn)
		if err != nil {
			return err
		}
		missing := make([]int, 0, len(days))
		for day := range days {
			missing = append(missing, day)
		}
		slices.Sort(missing)
		for _, day := range missing {
			if slices.ContainsFunc(have, func(p partition) bool { return p.Name == partitionName(day) }) {
				continue
			}
			// One message with several statements: one transaction.
			if err := conn.PgConn().Exec(ctx, partitionSQL(day)).Close(); err != nil {
				return fmt.Errorf("make partition %s: %w", partitionName(day), err)
			}
		}
		return nil
	})
}

func partitionName(day int) string {
	from, _ := dayBounds(day)
	return partitionPrefix + from.Format("20060102")
}

// partitionSQL makes the partition of a day.
func partitionSQL(day int) string {
	const layout = "2006-01-02 15:04:05+00"
	from, to := dayBounds(day)
	return strings.NewReplacer("{name}", partitionName(day), "{from}", from.Format(layout), "{to}", to.Format(layout)).Replace(partitionCreateSQL)
}

// dropPartitions drops the partitions of the days before limit, and finishes what a process
// that died has left half done: a detachment, or a table that is detached and not dropped.
func (s *Store) dropPartitions(ctx context.Context, limit int) error {
	return s.withPartitionLock(ctx, lockDropping, func(conn *pgx.Conn) error {
		partitions, err := listPartitions(ctx, conn)
		if err != nil {
			return err
		}
		for _, p := range partitions {
			day, err := p.day()
			if err != nil || day >= limit {
				continue // not a date: not ours
			}
			if err := dropPartition(ctx, conn, p); err != nil {
				return fmt.Errorf("drop partition %s: %w", p.Name, err)
			}
		}
		return nil
	})
}

// dropPartition takes a partition out without stopping insertions, and then drops it. Its
// revoked certificates stay on the CRL: revocations have a row of their own.
func dropPartition(ctx context.Context, conn *pgx.Conn, p partition) error {
	var steps []string
	switch p.State {
	case "attached":
		steps = []string{partitionDetachSQL, partitionDropSQL}
	case "detaching":
		steps = []string{partitionDetachFinishSQL, partitionDropSQL}
	default:
		steps = []string{partitionDropSQL}
	}
	for _, step := range steps {
		// The simple protocol: DETACH … CONCURRENTLY refuses to run in a transaction.
		if err := conn.PgConn().Exec(ctx, strings.ReplaceAll(step, "{name}", p.Name)).Close(); err != nil {
			return err
		}
	}
	return nil
}

func listPartitions(ctx context.Context, conn *pgx.Conn) ([]partition, error) {
	rows, err := conn.Query(ctx, partitionListSQL)
	if err != nil {
		return nil, fmt.Errorf("list partitions: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[partition])
	if err != nil {
		return nil, fmt.Errorf("list partitions: %w", err)
	}
	return list, nil
}

// withPartitionLock runs f on a connection that holds one of the two locks.
func (s *Store) withPartitionLock(ctx context.Context, place int, f func(*pgx.Conn) error) error {
	return s.pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error {
		conn := c.Conn()
		if err := lockPartitions(ctx, conn, place); err != nil {
			return fmt.Errorf("lock partitions: %w", err)
		}
		err := f(conn)
		if _, unlock := conn.Exec(ctx, partitionUnlockSQL, place); unlock != nil {
			// The lock ends with the session, so the session has to end.
			return errors.Join(err, unlock, conn.Close(ctx))
		}
		return err
	})
}

// partitionPause is between two tries at the lock, which is held for milliseconds as a rule.
const partitionPause = 20 * time.Millisecond

func lockPartitions(ctx context.Context, conn *pgx.Conn, place int) error {
	for {
		var locked bool
		if err := conn.QueryRow(ctx, partitionLockSQL, place).Scan(&locked); err != nil || locked {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(partitionPause):
		}
	}
}
