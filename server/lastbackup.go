package server

import (
	"context"
	"errors"
	"time"

	"github.com/pando-ca/pando/store"
)

// Milestones tells when something was done last; see [store.Milestones].
type Milestones interface {
	Milestone(ctx context.Context, name string) (at time.Time, age time.Duration, err error)
}

// LastBackup is when the last good backup was made, by whomever; zero when there was none, or when
// that is not known yet.
func (s *Service) LastBackup() time.Time {
	if at := s.lastBackup.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// followBackups looks now and then when the last backup was made, until ctx ends. When that fails,
// what is known grows old, as it should.
func (s *Service) followBackups(ctx context.Context) {
	failing := false
	for ctx.Err() == nil {
		bounded, cancel := context.WithTimeout(ctx, refreshTimeout)
		at, _, err := s.milestones.Milestone(bounded, store.MilestoneBackup)
		cancel()
		switch {
		case err == nil:
			s.lastBackup.Store(&at)
		case errors.Is(err, store.ErrNotFound):
			err = nil
		case !failing && ctx.Err() == nil:
			s.log.WarnContext(ctx, "time of the last backup not read", "error", err)
		}
		failing = err != nil
		pause(ctx, figuresRead)
	}
}
