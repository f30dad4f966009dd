package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pando-ca/pando/store"
)

// errUnexplained is for a row that was left out although nothing refuses it now: what refused
// it has been pruned, or deleted and made again.
var errUnexplained = errors.New("the reason of a refusal is gone")

// refusal is a row of refusals.sql.
type refusal struct {
	At            int64 // counted from 1
	CallerRevoked bool
	KeyBlocked    bool
	EntryGone     bool
	TokenUsed     bool
	TokenExpired  bool
	Replayed      bool
	Inactive      bool
	SerialTaken   bool
}

// err is the first reason that holds, in the order that the contract of store.Inserter gives.
func (r refusal) err() error {
	switch {
	case r.CallerRevoked:
		return store.ErrCallerRevoked
	case r.KeyBlocked:
		return store.ErrKeyBlocked
	case r.EntryGone:
		return store.ErrEntryGone
	case r.TokenUsed:
		return store.ErrTokenUsed
	case r.TokenExpired:
		return store.ErrTokenExpired
	case r.Replayed:
		return store.ErrReplayed
	case r.Inactive:
		return store.ErrIssuerInactive
	case r.SerialTaken:
		return store.ErrSerialTaken
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, errUnexplained)
}

// explain finds why rows were left out, and puts it in errs. That they were left out is
// certain; when the reason cannot be read, that is their error.
func (s *Store) explain(ctx context.Context, missing []placed, now time.Time, errs []error) {
	if len(missing) == 0 {
		return
	}
	c := newColumns(missing)
	k := newCredentials(missing)
	rows, err := s.pool.Query(ctx, refusalsSQL, c.serial, c.notAfter, c.keyHash, c.callerSerial, c.entryID, k.token, now, k.replay, c.issuer)
	if err == nil {
		var refusals []refusal
		refusals, err = pgx.CollectRows(rows, pgx.RowToStructByPos[refusal])
		for _, r := range refusals {
			errs[missing[r.At-1].at] = r.err()
		}
	}
	if err == nil {
		return
	}
	err = s.classify("read why rows were refused", err)
	for _, p := range missing {
		errs[p.at] = err
	}
}
