package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pando-ca/pando/store"
)

const (
	// defaultMaxConns is enough: insertions are batched into one or two commits at a time,
	// and the rest is administration.
	defaultMaxConns = 10
	// connectTimeout bounds one attempt to connect, unless the URL says otherwise. A host
	// that does not answer must not use up the time of the request that waits for it.
	connectTimeout = 5 * time.Second
)

// Config configures a [Store].
type Config struct {
	// URL is a connection string, as libpq's: a postgres:// URL or keyword=value pairs. It
	// may list several hosts.
	URL string
	// MaxConns bounds the connections of this process. 0 means 10; the least is 2.
	MaxConns int
	// Audited is told of audit rows once they are durable, by who has made the change. It must
	// not call the Store, and not block. None: nobody is told.
	Audited func([]store.Audit)
}

// Store implements the interfaces of package store on PostgreSQL. It is safe for concurrent
// use, and by several processes on one database.
type Store struct {
	pool *pgxpool.Pool
	tell func([]store.Audit) // of audit rows; nil: nobody
}

var (
	_ store.Inserter      = (*Store)(nil)
	_ store.Records       = (*Store)(nil)
	_ store.Revocations   = (*Store)(nil)
	_ store.RevocationLog = (*Store)(nil)
	_ store.Entries       = (*Store)(nil)
	_ store.EntryVersions = (*Store)(nil)
	_ store.Tokens        = (*Store)(nil)
	_ store.Generations   = (*Store)(nil)
	_ store.Incidents     = (*Store)(nil)
	_ store.Watcher       = (*Store)(nil)
	_ store.Leases        = (*Store)(nil)
	_ store.Acks          = (*Store)(nil)
	_ store.Audits        = (*Store)(nil)
	_ store.Identities    = (*Store)(nil)
	_ store.PreRenewals   = (*Store)(nil)
	_ store.Figures       = (*Store)(nil)
	_ store.CRLs          = (*Store)(nil)
	_ store.Revoked       = (*Store)(nil)
	_ store.MTLSPolicies  = (*Store)(nil)
	_ store.MTLSOverrides = (*Store)(nil)
	_ store.MTLSVersions  = (*Store)(nil)
	_ store.MTLSReports   = (*Store)(nil)
	_ store.Upkeep        = (*Store)(nil)
	_ store.Health        = (*Store)(nil)
	_ store.Snapshots     = (*Store)(nil)
	_ store.Replicas      = (*Store)(nil)
	_ store.Inspection    = (*Store)(nil)
	_ store.Milestones    = (*Store)(nil)
)

// Open connects to a migrated database. It returns store.ErrSchemaOld or store.ErrSchemaNew
// when this binary cannot run on its schema, and store.ErrUnavailable when no server that
// accepts writes can be reached. The caller closes the Store.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	pool, err := connect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s := &Store{pool: pool, tell: cfg.Audited}
	if err := s.checkSchema(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return s, nil
}

// Close waits until no connection is in use, and closes them all.
func (s *Store) Close() error {
	s.pool.Close()
	return nil
}

// connect makes the pool, and proves that a connection can be had.
func connect(ctx context.Context, cfg Config) (*pgxpool.Pool, error) {
	poolConfig, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("database URL: %w", err) // pgx leaves the password out
	}
	poolConfig.MaxConns = defaultMaxConns
	if cfg.MaxConns != 0 {
		poolConfig.MaxConns = int32(max(cfg.MaxConns, 2))
	}
	conn := poolConfig.ConnConfig
	conn.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	if conn.ConnectTimeout == 0 {
		conn.ConnectTimeout = connectTimeout
	}
	if conn.RuntimeParams["application_name"] == "" {
		conn.RuntimeParams["application_name"] = "pando"
	}
	poolConfig.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, sessionSQL)
		return err
	}
	pool, err := pgxpool.NewWithConfig(ctx, poolConfig)
	if err != nil {
		return nil, fmt.Errorf("database pool: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, classify("connect to database", err)
	}
	return pool, nil
}

// change runs f in a transaction, writes the audit row in it if f reports a change, and
// commits. Errors of f and of the commit are classified.
func (s *Store) change(ctx context.Context, op string, audit store.Audit, f func(pgx.Tx) (changed bool, err error)) error {
	return s.audited(ctx, op, func(tx pgx.Tx) ([]store.Audit, error) {
		changed, err := f(tx)
		if err != nil || !changed {
			return nil, err
		}
		return []store.Audit{audit}, nil
	})
}

// lockPause lets insertions pass between two attempts at the exclusive lock.
const lockPause = time.Second

// transact runs f in a transaction and commits. Errors are classified. When the exclusive lock
// cannot be had it runs f again, until ctx ends.
func (s *Store) transact(ctx context.Context, op string, f func(pgx.Tx) error) error {
	for {
		err := pgx.BeginFunc(ctx, s.pool, f)
		if !hasCode(err, codeLockUnavailable) {
			return s.classify(op, err)
		}
		select {
		case <-ctx.Done():
			return s.classify(op, err)
		case <-time.After(lockPause):
		}
	}
}

// detail makes an empty map of none: the column takes no null.
func detail(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
