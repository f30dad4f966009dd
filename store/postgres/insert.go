package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pando-ca/pando/store"
)

// InsertBatch writes the batch; see [store.Inserter].
func (s *Store) InsertBatch(ctx context.Context, batch []*store.Issuance, now time.Time) ([]error, error) {
	errs := make([]error, len(batch))
	plan := arrange(batch, errs)

	done, err := s.insert(ctx, plan.plain, plan.once, now)
	if retryAlone(err) && len(plan.once) > 0 {
		// A row that consumes a credential has a serial number that exists, or waited in
		// a circle with one of another replica. Nothing was written. Apart from each
		// other such rows cannot harm anything.
		plan.alone = append(plan.once, plan.alone...)
		plan.once = nil
		done, err = s.insert(ctx, plan.plain, nil, now)
	}
	if err != nil {
		return nil, s.classify("insert", err)
	}
	for _, p := range plan.alone {
		s.insertAlone(ctx, p, now, done, errs)
	}
	s.explain(ctx, plan.missing(done, errs), now, errs)
	return errs, nil
}

// arranged is a batch, sorted by what has to be done with each issuance.
type arranged struct {
	all   []placed
	plain []placed // consume nothing
	once  []placed // consume a credential, each another one
	alone []placed // consume a credential that one before them may consume
}

// placed is an issuance and its place in the batch.
type placed struct {
	*store.Issuance
	at int
}

// arrange sorts a batch, and refuses in errs what needs no database to be refused.
func arrange(batch []*store.Issuance, errs []error) *arranged {
	a := &arranged{all: make([]placed, 0, len(batch)), plain: make([]placed, 0, len(batch))}
	serials := make(map[store.Serial]bool, len(batch))
	var credentials map[[32]byte]bool
	for at, i := range batch {
		if err := i.Validate(); err != nil {
			errs[at] = err
			continue
		}
		if serials[i.Serial] {
			errs[at] = store.ErrSerialTaken
			continue
		}
		serials[i.Serial] = true
		p := placed{i, at}
		a.all = append(a.all, p)
		credential, any := credentialOf(i)
		switch {
		case !any:
			a.plain = append(a.plain, p)
		case credentials[credential]:
			a.alone = append(a.alone, p)
		default:
			if credentials == nil {
				credentials = make(map[[32]byte]bool)
			}
			credentials[credential] = true
			a.once = append(a.once, p)
		}
	}
	return a
}

// credentialOf is the digest of the credential that an issuance consumes, if any.
func credentialOf(i *store.Issuance) ([32]byte, bool) {
	switch {
	case i.HasToken():
		return i.TokenHash, true
	case !i.Replay.IsZero():
		return i.Replay.Digest(), true
	}
	return [32]byte{}, false
}

// missing are the issuances that were neither written nor given a reason yet.
func (a *arranged) missing(done map[store.Serial]bool, errs []error) []placed {
	if len(done) == len(a.all) {
		return nil
	}
	var missing []placed
	for _, p := range a.all {
		if !done[p.Serial] && errs[p.at] == nil {
			missing = append(missing, p)
		}
	}
	return missing
}

// insertAlone writes one issuance in a transaction of its own. By now others of the batch are
// durable, so that a failure is that of this issuance only.
func (s *Store) insertAlone(ctx context.Context, p placed, now time.Time, done map[store.Serial]bool, errs []error) {
	one, err := s.insert(ctx, nil, []placed{p}, now)
	switch {
	case hasCode(err, codeUnique):
		errs[p.at] = store.ErrSerialTaken
	case err != nil:
		errs[p.at] = s.classify("insert", err)
	case one[p.Serial]:
		done[p.Serial] = true
	}
}

// insert commits rows and returns the serial numbers of those that were written. If a
// partition is missing, it makes it and tries again.
func (s *Store) insert(ctx context.Context, plain, once []placed, now time.Time) (map[store.Serial]bool, error) {
	done, err := s.insertOnce(ctx, plain, once, now)
	if !hasCode(err, codeCheck) {
		return done, err
	}
	days := make(map[int]bool)
	for _, rows := range [...][]placed{plain, once} {
		for _, p := range rows {
			days[p.Serial.Day()] = true
		}
	}
	if err := s.makePartitions(ctx, days); err != nil {
		return nil, fmt.Errorf("make missing partition: %w", err)
	}
	return s.insertOnce(ctx, plain, once, now)
}

// insertOnce is the one round trip of an insertion.
func (s *Store) insertOnce(ctx context.Context, plain, once []placed, now time.Time) (map[store.Serial]bool, error) {
	if len(plain)+len(once) == 0 {
		return map[store.Serial]bool{}, nil
	}
	var batch pgx.Batch
	batch.Queue(lockSharedSQL)
	if len(plain) > 0 {
		batch.Queue(insertSQL, newColumns(plain).arguments()...)
	}
	if len(once) > 0 {
		c := newColumns(once)
		batch.Queue(insertOnceSQL, append(c.arguments(), newCredentials(once).arguments(now)...)...)
	}
	results := s.pool.SendBatch(ctx, &batch)
	done, err := written(results, batch.Len(), len(plain)+len(once))
	// Close reads to the end: an error of the commit itself comes out here.
	if err := errors.Join(err, results.Close()); err != nil {
		return nil, err
	}
	return done, nil
}

// written reads which serial numbers the statements returned.
func written(results pgx.BatchResults, statements, rows int) (map[store.Serial]bool, error) {
	if _, err := results.Exec(); err != nil { // the lock
		return nil, err
	}
	done := make(map[store.Serial]bool, rows)
	for range statements - 1 {
		returned, err := results.Query()
		if err != nil {
			return nil, err
		}
		var serial []byte
		_, err = pgx.ForEachRow(returned, []any{&serial}, func() error {
			done[store.Serial(serial)] = true
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return done, nil
}

// retryAlone reports whether a batch failed, as a whole and without a trace, over the
// credentials in it.
func retryAlone(err error) bool {
	return hasCode(err, codeUnique) || hasCode(err, codeDeadlock)
}
