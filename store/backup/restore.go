package backup

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/pando-ca/pando/store"
)

// RestoreConfig says what is restored where to.
type RestoreConfig struct {
	Check

	TrustDomain string // that the backup must be of
	Audit       store.Audit

	// Into fills the database; it is that of a store.
	Into func(context.Context, store.Restoration) error
}

// Restore verifies a backup and fills a database with it; see [store.Restoration]. Unless it returns
// nil, nothing is restored. Errors are those of [Verify] and of Into.
func Restore(ctx context.Context, cfg RestoreConfig, now time.Time) (*Summary, error) {
	summary, digest, err := cfg.verify()
	if err != nil {
		return nil, err
	}
	if summary.TrustDomain != cfg.TrustDomain {
		return nil, fmt.Errorf("the backup is of trust domain %s, and the configuration is for %s", summary.TrustDomain, cfg.TrustDomain)
	}
	f, err := Open(cfg.Path, cfg.Key, cfg.Latest)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cfg.Audit.Detail = map[string]string{
		"created_at": summary.CreatedAt.Format(time.RFC3339), "records": string(summary.Records), "sha256": summary.SHA256,
	}
	l := loading{file: f, progress: cfg.Progress, total: summary.Rows()}
	err = cfg.Into(ctx, store.Restoration{
		Schema: summary.Schema, Age: max(now.Sub(summary.CreatedAt), 0), Audit: cfg.Audit,
		Rows: func(write func(*store.Table, []store.Row) error) error {
			if err := l.load(ctx, write); err != nil {
				return err
			}
			if !bytes.Equal(f.last.Digest, digest) {
				return fmt.Errorf("it has changed since it was read first: %w", ErrDamaged)
			}
			return nil
		},
	})
	return summary, err
}

const (
	// loadRows and loadOctets bound what is written at once: a few milliseconds, and memory.
	loadRows   = 1000
	loadOctets = 8 << 20
)

// loading is the rows that wait to be written.
type loading struct {
	file     *File
	progress func(done, total int64)
	total    int64

	table  *store.Table
	rows   []store.Row
	octets int
	done   int64
}

func (l *loading) load(ctx context.Context, write func(*store.Table, []store.Row) error) error {
	flush := func() error {
		if len(l.rows) == 0 {
			return nil
		}
		if err := write(l.table, l.rows); err != nil {
			return err
		}
		l.done += int64(len(l.rows))
		l.rows, l.octets = l.rows[:0], 0
		if l.progress != nil {
			l.progress(l.done, l.total)
		}
		return ctx.Err()
	}
	err := l.file.Rows(func(t *store.Table, row store.Row) error {
		if t != l.table || len(l.rows) == loadRows || l.octets > loadOctets {
			if err := flush(); err != nil {
				return err
			}
			l.table = t
		}
		l.rows, l.octets = append(l.rows, row), l.octets+len(l.file.line)
		return nil
	})
	if err != nil {
		return err
	}
	return flush()
}
