package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// watchProbe is how long a watch waits for a notification before it asks the server for a
	// sign of life. A network that swallows everything is noticed by nothing else.
	watchProbe = 10 * time.Second
	// watchTimeout bounds that question, and the farewell.
	watchTimeout = 5 * time.Second
)

// Watch waits for notifications, on a connection that is not of the pool; see
// [store.Watcher]. It calls changed once it listens, since what changed before was not heard.
func (s *Store) Watch(ctx context.Context, changed func()) error {
	err := s.watch(ctx, changed)
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the end of ctx is how watching ends
	}
	return classify("watch", err)
}

func (s *Store) watch(ctx context.Context, changed func()) error {
	conn, err := pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	defer closeConn(ctx, conn)
	if _, err := conn.Exec(ctx, listenSQL); err != nil {
		return err
	}
	changed()
	for {
		heard, err := listen(ctx, conn, watchProbe)
		if err != nil {
			return err
		}
		if heard {
			changed()
		}
	}
}

// listen waits for one notification, or else, after a while, for a sign of life.
func listen(ctx context.Context, conn *pgx.Conn, probe time.Duration) (heard bool, err error) {
	waiting, cancel := context.WithTimeout(ctx, probe)
	defer cancel()
	_, err = conn.WaitForNotification(waiting)
	if err == nil {
		return true, nil
	}
	if waiting.Err() == nil || ctx.Err() != nil || conn.IsClosed() {
		return false, err
	}
	probing, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	return false, conn.Ping(probing)
}

// closeConn says good-bye, also when ctx has ended. What the server answers does not matter.
func closeConn(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), watchTimeout)
	defer cancel()
	_ = conn.Close(ctx)
}

// notify tells all who watch, on every replica, once tx has committed.
func notify(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, notifySQL)
	return err
}
