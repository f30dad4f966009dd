package server

import (
	"context"
	"slices"
	"time"

	"github.com/pando-ca/pando/ca/policy"
)

// Level says how bad it is what a check has found.
type Level string

// The levels, the least bad first.
const (
	LevelOK       Level = "ok"
	LevelUnknown  Level = "unknown" // it could not be looked at: as bad as a warning
	LevelWarning  Level = "warning"
	LevelCritical Level = "critical"
)

// Levels lists every level, the least bad first.
func Levels() []Level { return []Level{LevelOK, LevelUnknown, LevelWarning, LevelCritical} }

// Worse reports whether l is worse than other.
func (l Level) Worse(other Level) bool {
	return slices.Index(Levels(), l) > slices.Index(Levels(), other)
}

// Check is what one look has found. It holds no secret.
type Check struct {
	Name     string // stable
	Level    Level
	Finding  string            // one line
	Advice   string            // what to do; empty when there is nothing to be done
	Evidence map[string]string // what the finding is judged by
}

// Diagnostics looks for what is wrong.
type Diagnostics interface {
	// Names are the names of the checks, in their order.
	Names() []string
	// Run makes the checks of these names, or all when there are none, at now, in the order of
	// Names. Each has a time limit of its own; one that cannot be made says so.
	Run(ctx context.Context, names []string, now time.Time) []Check
}

// Diagnosis is what a replica has found.
type Diagnosis struct {
	At      time.Time // by the clock of the replica
	Version string    // of the replica
	Checks  []Check
}

// Diagnose looks for what is wrong: with this replica, with its configuration, and with the state
// that it shares with others. It reveals which settings are weak, and not what they are, and the
// names of replicas: no path, no credential. All names are those of checks; none means all. One diagnosis
// is made at a time, and others wait for it.
func (s *Service) Diagnose(ctx context.Context, caller policy.Caller, names []string) (*Diagnosis, error) {
	if err := s.authorize(ctx, caller, OpDiagnose); err != nil {
		return nil, err
	}
	if s.diagnostics == nil {
		return &Diagnosis{At: time.Now(), Version: s.version}, nil
	}
	known := s.diagnostics.Names()
	for _, name := range names {
		if err := checkTexts(name); err != nil {
			return nil, err
		}
		if !slices.Contains(known, name) {
			return nil, invalid("checks: there is no check %q", name)
		}
	}
	select {
	case s.diagnosing <- struct{}{}:
		defer func() { <-s.diagnosing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	now := time.Now()
	return &Diagnosis{At: now, Version: s.version, Checks: s.diagnostics.Run(ctx, names, now)}, nil
}
