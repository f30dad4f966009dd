package diagnosis

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/rotation"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
)

// checkTimeout is what one check may take: all of them run at once, and each reads some index
// entries, or a few pages of rows. It leaves room in the time limit of a request.
const checkTimeout = 10 * time.Second

// Database is what is read of the store, and as wide as what is looked at; both stores do.
type Database interface {
	store.Inspection
	server.Milestones
	// Now is the time by the clock of the database.
	Now(ctx context.Context) (time.Time, error)
	Generation(ctx context.Context) (*store.Generation, error)
	CRLs(ctx context.Context) ([]store.CRL, error)
	Replicas(ctx context.Context) ([]store.Replica, error)
	Entries(ctx context.Context, f store.EntryFilter) ([]store.Entry, error)
}

// Fleet knows what the fleet looked like when it was counted last; *server.Service does.
type Fleet interface {
	// Figures is nil when that is not known, or too long ago.
	Figures() *server.Figures
}

// Jobs knows what recurs; *rotation.Scheduler does.
type Jobs interface {
	Status(now time.Time) []rotation.Status
}

// Config is what an Examiner needs. Database, OpenKey and Settings are required.
type Config struct {
	Database Database
	// OpenKey opens the key of an authority, by its reference.
	OpenKey func(ref []byte, role ca.Role) (crypto.Signer, error)
	Policy  rotation.Policy
	Schema  int64 // version of the schema that this binary is made for
	// Settings tells what is configured, as it is now.
	Settings func() Settings

	Fleet Fleet // none: nobody counts, and what follows from it is not checked
	Jobs  Jobs  // none: nothing recurs here

	Log *slog.Logger // none: discarded
}

// Examiner makes the checks. It is safe for concurrent use.
type Examiner struct {
	cfg    Config
	checks []*check
}

var _ server.Diagnostics = (*Examiner)(nil)

// check is one look at something.
type check struct {
	name string
	look func(ctx context.Context, now time.Time) (verdict, error)
	busy sync.Mutex // held while it runs, also after its time is over
}

// New returns an Examiner.
func New(cfg Config) (*Examiner, error) {
	if cfg.Database == nil || cfg.OpenKey == nil || cfg.Settings == nil {
		return nil, errors.New("diagnosis: the configuration lacks a database, keys or settings")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	e := &Examiner{cfg: cfg}
	e.authorityChecks()
	if cfg.Fleet != nil {
		e.fleetChecks()
	}
	if cfg.Jobs != nil {
		e.add("jobs", func(_ context.Context, now time.Time) (verdict, error) {
			return judgeJobs(cfg.Jobs.Status(now), now), nil
		})
	}
	e.storeChecks()
	e.settingsChecks()
	return e, nil
}

func (e *Examiner) add(name string, look func(context.Context, time.Time) (verdict, error)) {
	e.checks = append(e.checks, &check{name: name, look: look})
}

// Names implements server.Diagnostics.
func (e *Examiner) Names() []string {
	names := make([]string, len(e.checks))
	for i, c := range e.checks {
		names[i] = c.name
	}
	return names
}

// Run implements server.Diagnostics.
func (e *Examiner) Run(ctx context.Context, names []string, now time.Time) []server.Check {
	var wanted []*check
	for _, c := range e.checks {
		if len(names) == 0 || slices.Contains(names, c.name) {
			wanted = append(wanted, c)
		}
	}
	found := make([]server.Check, len(wanted))
	var running sync.WaitGroup
	for i, c := range wanted {
		running.Go(func() { found[i] = e.run(ctx, c, now) })
	}
	running.Wait()
	return found
}

// run makes one check, and returns when it has ended or its time is over. One that hangs, as in a
// token that does not answer, is waited for by nobody, and not made a second time beside it.
func (e *Examiner) run(ctx context.Context, c *check, now time.Time) server.Check {
	if !c.busy.TryLock() {
		return unknown(c.name, "an earlier look has not come back yet")
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	type outcome struct {
		verdict verdict
		err     error
	}
	done := make(chan outcome, 1)
	go func() {
		defer c.busy.Unlock()
		defer func() {
			if p := recover(); p != nil { // nobody else would: a mistake here must not end the CA
				done <- outcome{err: fmt.Errorf("panic: %v", p)}
			}
		}()
		v, err := c.look(ctx, now)
		done <- outcome{v, err}
	}()
	select {
	case <-ctx.Done():
		return unknown(c.name, fmt.Sprintf("no answer within %s", checkTimeout))
	case o := <-done:
		if o.err != nil {
			e.cfg.Log.WarnContext(ctx, "check not made", "check", c.name, "error", o.err)
			return unknown(c.name, reason(o.err))
		}
		return o.verdict.check(c.name)
	}
}

// unknown is a check that could not be made.
func unknown(name, why string) server.Check {
	return server.Check{
		Name: name, Level: server.LevelUnknown, Finding: "not known: " + why,
		Advice: "try again; the log of the server has more: docs/logging.md",
	}
}

// errNotKnown is the error of a check whose facts are not there; its text is for people.
type errNotKnown string

// Error implements error.
func (e errNotKnown) Error() string { return string(e) }

// reason is what anybody may be told of why a check was not made: errors of drivers name hosts.
func reason(err error) string {
	var known errNotKnown
	switch {
	case errors.As(err, &known):
		return known.Error()
	case errors.Is(err, store.ErrUnavailable):
		return "the database cannot be reached"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return "no answer in time"
	}
	return "an internal error"
}
