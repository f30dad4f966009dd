package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/store"
)

// FigureStore is where the fleet is counted, and where its figures are kept.
type FigureStore interface {
	store.Identities
	store.Figures
	// Facts counts, at now; see [store.Acks].
	Facts(ctx context.Context, now time.Time) (*store.Facts, error)
}

// Figures is what the fleet looks like, counted once for all replicas. Immutable.
type Figures struct {
	At         time.Time // when it was counted; zero: an earlier release has done it
	Identities []IdentityCount
	Live       []store.LiveCount
	Earliest   []EarliestEnd

	// How much of the lifetime of the newest certificate is left, of identities that are live
	// or overdue: Remaining[i] have more than i tenths and at most i+1, RemainingSum is the sum.
	Remaining    [RemainingSteps]int
	RemainingSum float64

	Sequence  uint64               // of the trust bundle when it was counted
	Facts     *store.Facts         // who has which bundle, and what is left under each authority; nil: not counted
	Watched   []WatchedCertificate // ordered by SPIFFE ID; at most [MaxWatched]
	Incidents []IncidentCount      // the open ones; at most shownIncidents
}

// RemainingSteps is into how many equal parts a lifetime is divided in [Figures].
const RemainingSteps = 10

// IdentityCount is how many identities of a profile are in a state.
type IdentityCount struct {
	Profile string
	State   IdentityState
	Count   int
}

// WatchedCertificate is the newest certificate of the SPIFFE ID of an entry that is watched.
type WatchedCertificate struct {
	SPIFFEID            string
	NotBefore, NotAfter time.Time
}

// IncidentCount is how far an open incident has come.
type IncidentCount struct {
	ID       string
	Left     int // certificates that nobody has renewed yet
	Deadline time.Time
}

// shownIncidents is how many open incidents have series of their own, the newest: more at once are
// a mistake, and no reason to make series without end.
const shownIncidents = 20

// EarliestEnd is when the first of the newest certificates of a profile ends, of identities that
// are live or overdue.
type EarliestEnd struct {
	Profile  string
	NotAfter time.Time
}

const (
	// figuresRead is how often a replica looks at the figures.
	figuresRead = 5 * time.Second
	// defaultFiguresAge is from when on figures say nothing any more.
	defaultFiguresAge = 5 * time.Minute
)

// RefreshFigures counts the fleet at now and saves the figures for all replicas, under a fence.
// Its cost is that of reading an index entry of each certificate that is live or ended of late,
// and each live row once.
func (s *Service) RefreshFigures(ctx context.Context, fence store.Fence, now time.Time) error {
	if s.fleet == nil {
		return nil
	}
	figures, err := s.count(ctx, now)
	if err != nil {
		return err
	}
	data, err := json.Marshal(figures)
	if err != nil {
		return fmt.Errorf("figures: %w", err)
	}
	if err := s.fleet.SaveFigures(ctx, data, fence); err != nil {
		return fmt.Errorf("save figures: %w", err)
	}
	return s.readFigures(ctx)
}

// count goes through the fleet once.
func (s *Service) count(ctx context.Context, now time.Time) (*Figures, error) {
	tally := tally{counts: make(map[IdentityCount]int), earliest: make(map[string]time.Time)}
	for name := range s.profiles {
		for _, state := range IdentityStates() {
			tally.counts[IdentityCount{Profile: name, State: state}] = 0
		}
	}
	set := s.Set()
	filter := store.IdentityFilter{EndsAfter: now.Add(-identityMemory), Limit: identityPage}
	for {
		rows, err := s.fleet.Identities(ctx, filter)
		if err != nil {
			return nil, fmt.Errorf("count identities: %w", err)
		}
		for i := range rows {
			if identity, ok := s.identity(set, &rows[i], now); ok {
				tally.add(&identity, now)
			}
		}
		if len(rows) < filter.Limit {
			break
		}
		filter.After = rows[len(rows)-1].SPIFFEID
	}
	live, err := s.fleet.LiveCounts(ctx, now)
	if err != nil {
		return nil, fmt.Errorf("count live certificates: %w", err)
	}
	tally.At, tally.Live, tally.Sequence = now, live, set.Sequence()
	if tally.Facts, err = s.fleet.Facts(ctx, now); err != nil {
		return nil, fmt.Errorf("count facts: %w", err)
	}
	if tally.Watched, err = s.watched(ctx, set, now); err != nil {
		return nil, err
	}
	if tally.Incidents, err = s.openIncidents(ctx, set, now); err != nil {
		return nil, err
	}
	return tally.figures(), nil
}

// watched looks at the identities that are watched. One that was revoked is left out: nobody renews
// it, and that is no accident. One that has expired is seen for a day.
func (s *Service) watched(ctx context.Context, set *ca.Set, now time.Time) ([]WatchedCertificate, error) {
	rows, err := s.fleet.Watched(ctx, now.Add(-identityMemory), MaxWatched)
	if err != nil {
		return nil, fmt.Errorf("look at watched: %w", err)
	}
	var all []WatchedCertificate
	for _, row := range rows {
		if !row.Revoked && !issuerRevoked(set, row.Issuer) {
			all = append(all, WatchedCertificate{row.SPIFFEID, row.NotBefore, row.NotAfter})
		}
	}
	return all, nil
}

// openIncidents counts who is left. That takes seconds in a large fleet, and is done only while an
// incident is open.
func (s *Service) openIncidents(ctx context.Context, set *ca.Set, now time.Time) ([]IncidentCount, error) {
	if s.incidents == nil || len(set.Incidents()) == 0 {
		return nil, nil
	}
	latest, err := s.incidents.Incidents(ctx, shownIncidents, now)
	if err != nil {
		return nil, fmt.Errorf("count incidents: %w", err)
	}
	var open []IncidentCount
	for _, i := range latest {
		if i.ClosedAt.IsZero() {
			open = append(open, IncidentCount{i.ID, i.Left, i.Deadline})
		}
	}
	return open, nil
}

// tally is figures that are being counted.
type tally struct {
	Figures
	counts   map[IdentityCount]int // by all but Count
	earliest map[string]time.Time  // by profile
}

func (t *tally) add(i *Identity, now time.Time) {
	t.counts[IdentityCount{Profile: i.Profile, State: i.State}]++
	if i.State != IdentityLive && i.State != IdentityOverdue {
		return
	}
	if first, ok := t.earliest[i.Profile]; !ok || i.NotAfter.Before(first) {
		t.earliest[i.Profile] = i.NotAfter
	}
	left := float64(i.NotAfter.Sub(now)) / float64(i.NotAfter.Sub(i.NotBefore))
	step := 0
	for step < RemainingSteps-1 && left > float64(step+1)/RemainingSteps {
		step++
	}
	t.Remaining[step]++
	t.RemainingSum += left
}

// figures is the result, in an order that is equal for equal counts.
func (t *tally) figures() *Figures {
	for c, n := range t.counts {
		c.Count = n
		t.Identities = append(t.Identities, c)
	}
	slices.SortFunc(t.Identities, func(a, b IdentityCount) int {
		return cmp.Or(cmp.Compare(a.Profile, b.Profile), cmp.Compare(a.State, b.State))
	})
	for profile, at := range t.earliest {
		t.Earliest = append(t.Earliest, EarliestEnd{profile, at})
	}
	slices.SortFunc(t.Earliest, func(a, b EarliestEnd) int { return cmp.Compare(a.Profile, b.Profile) })
	return &t.Figures
}

// knownFigures are figures until they say nothing any more.
type knownFigures struct {
	figures *Figures
	until   time.Time
}

// Figures is what the fleet looked like when it was counted last; nil when that is not known, or
// too long ago. It is shared: do not change it.
func (s *Service) Figures() *Figures {
	known := s.figures.Load()
	if known == nil || time.Now().After(known.until) {
		return nil
	}
	return known.figures
}

// readFigures takes over what was saved last, by this replica or another. Its age is by the
// clock of the database, so that the clocks of replicas do not matter.
func (s *Service) readFigures(ctx context.Context) error {
	data, age, err := s.fleet.Figures(ctx)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read figures: %w", err)
	}
	figures := new(Figures)
	if err := json.Unmarshal(data, figures); err != nil {
		return fmt.Errorf("read figures: %w", err)
	}
	s.figures.Store(&knownFigures{figures, time.Now().Add(s.figuresAge - age)})
	return nil
}

// followFigures looks at the figures now and then until ctx ends. When that fails, those that are
// known grow old.
func (s *Service) followFigures(ctx context.Context) {
	failing := false
	for ctx.Err() == nil {
		bounded, cancel := context.WithTimeout(ctx, refreshTimeout)
		err := s.readFigures(bounded)
		cancel()
		if err != nil && !failing && ctx.Err() == nil {
			s.log.WarnContext(ctx, "figures not read", "error", err)
		}
		failing = err != nil
		pause(ctx, figuresRead)
	}
}
