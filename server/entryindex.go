package server

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/store"
)

// followInterval is how often a replica looks whether the entries have changed. A request
// that no entry matches looks at once, so that this bounds only how long a deleted entry
// still seems to match; the insert refuses it then.
const followInterval = time.Second

// refreshTimeout bounds one look, so that a database that has fallen silent holds nobody up for
// longer than a request may take.
const refreshTimeout = 5 * time.Second

// entryPage is how many entries are read at once.
const entryPage = 1000

// entryIndex is the entries for JWTs, in memory, by issuer. Entries for join tokens are
// read when a token is shown: each is used once.
type entryIndex struct {
	turn    chan struct{} // holds one value while the entries are read
	version atomic.Uint64
	loaded  atomic.Bool
	// Swapped as a whole.
	byIssuer atomic.Pointer[map[string][]*policy.Entry]
}

func newEntryIndex() *entryIndex {
	x := &entryIndex{turn: make(chan struct{}, 1)}
	x.byIssuer.Store(&map[string][]*policy.Entry{})
	return x
}

// forIssuer returns the entries of an issuer. The slice is shared: do not change it.
func (x *entryIndex) forIssuer(issuer string) []*policy.Entry { return (*x.byIssuer.Load())[issuer] }

// refreshEntries reads the entries again if their version has changed, and reports whether it
// had. The version is read first: a change in between is found by the next look.
func (s *Service) refreshEntries(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	select {
	case s.entries.turn <- struct{}{}:
		defer func() { <-s.entries.turn }()
	case <-ctx.Done():
		return false, fmt.Errorf("wait for the entries: %w: %w", store.ErrUnavailable, ctx.Err())
	}
	version, err := s.store.EntryVersion(ctx)
	if err != nil {
		return false, fmt.Errorf("version of the entries: %w", err)
	}
	if s.entries.loaded.Load() && version == s.entries.version.Load() {
		return false, nil
	}
	byIssuer := make(map[string][]*policy.Entry)
	filter := store.EntryFilter{Method: string(policy.MethodJWT), Limit: entryPage}
	for {
		rows, err := s.store.Entries(ctx, filter)
		if err != nil {
			return false, fmt.Errorf("read entries: %w", err)
		}
		for i := range rows {
			entry, err := parseEntry(&rows[i], s.Set().TrustDomain())
			if err != nil {
				// It matches nobody, which is the safe side; the others must go on working.
				s.log.ErrorContext(ctx, "entry ignored", "error", err)
				continue
			}
			byIssuer[entry.Issuer()] = append(byIssuer[entry.Issuer()], entry)
		}
		if len(rows) < entryPage {
			break
		}
		filter.After = rows[len(rows)-1].ID
	}
	s.entries.byIssuer.Store(&byIssuer)
	s.entries.version.Store(version)
	s.entries.loaded.Store(true)
	return true, nil
}

// followWarning is how often an outage that goes on is logged.
const followWarning = time.Minute

// followEntries looks for changes until ctx ends. It logs when looking begins to fail, now and
// then while it does, and when it works again.
func (s *Service) followEntries(ctx context.Context) error {
	ticker := time.NewTicker(followInterval)
	defer ticker.Stop()
	var since, warned time.Time // zero: the last look worked
	for {
		_, err := s.refreshEntries(ctx)
		switch now := time.Now(); {
		case err == nil && !since.IsZero():
			s.log.InfoContext(ctx, "entries refreshed again", "after", now.Sub(since).Round(time.Second))
			since, warned = time.Time{}, time.Time{}
		case err != nil && ctx.Err() == nil && now.Sub(warned) >= followWarning:
			s.log.WarnContext(ctx, "entries not refreshed", "error", err)
			warned = now
			if since.IsZero() {
				since = now
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
