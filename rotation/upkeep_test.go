package rotation_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pando-ca/pando/rotation"
	"github.com/pando-ca/pando/store"
)

// upkeep notes what it was asked for.
type upkeep struct {
	until, before time.Time
	revocations   time.Time     // before which revocations were pruned
	ahead         time.Duration // of the clock of the database
}

var _ store.Upkeep = (*upkeep)(nil)

func (u *upkeep) Prepare(_ context.Context, _, until time.Time) error { u.until = until; return nil }
func (u *upkeep) Prune(_ context.Context, _, before time.Time) error  { u.before = before; return nil }
func (u *upkeep) PruneRevocations(_ context.Context, _, before time.Time) error {
	u.revocations = before
	return nil
}
func (u *upkeep) Now(context.Context) (time.Time, error) { return time.Now().Add(u.ahead), nil }

func TestUpkeepJobs(t *testing.T) {
	const day = 24 * time.Hour
	tests := map[string]struct {
		cfg       rotation.UpkeepConfig
		ahead     time.Duration
		retention time.Duration
		revoked   time.Duration
	}{
		"the defaults":            {rotation.UpkeepConfig{Longest: 90 * day}, 97 * day, 90 * day, 90 * day},
		"a short retention":       {rotation.UpkeepConfig{Longest: time.Hour, Retention: 3 * day}, 7*day + time.Hour, 3 * day, 3 * day},
		"a very short retention":  {rotation.UpkeepConfig{Longest: time.Hour, Retention: 1}, 7*day + time.Hour, 1, 2 * day},
		"CRLs that are published": {rotation.UpkeepConfig{Longest: time.Hour, Retention: day, KeepRevocations: 14 * day}, 7*day + time.Hour, day, 14 * day},
		"schedules of their own":  {rotation.UpkeepConfig{Longest: day, Partitions: "@daily", Prune: "5 4 * * *"}, 8 * day, 90 * day, 90 * day},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := &upkeep{}
				test.cfg.Store = u
				jobs, err := rotation.UpkeepJobs(test.cfg)
				if err != nil {
					t.Fatal(err)
				}
				s := newScheduler(t, rotation.SchedulerConfig{Jobs: jobs})
				if err := s.RunNow(t.Context(), rotation.JobPartitions); err != nil {
					t.Error(err)
				}
				if err := s.RunNow(t.Context(), rotation.JobPrune); err != nil {
					t.Error(err)
				}
				if got := u.until.Sub(start); got != test.ahead {
					t.Errorf("prepared %s ahead, want %s", got, test.ahead)
				}
				if got := start.Sub(u.before); got != test.retention {
					t.Errorf("kept %s, want %s", got, test.retention)
				}
				if got := start.Sub(u.revocations); got != test.revoked {
					t.Errorf("kept revocations for %s, want %s", got, test.revoked)
				}
			})
		})
	}
}

// A replica whose clock is wrong must not drop what others need.
func TestPruneRefusesAClockThatDiffers(t *testing.T) {
	for ahead, refused := range map[time.Duration]bool{
		0: false, 9 * time.Minute: false, -9 * time.Minute: false, 11 * time.Minute: true, -40 * 24 * time.Hour: true,
	} {
		u := &upkeep{ahead: ahead}
		jobs, err := rotation.UpkeepJobs(rotation.UpkeepConfig{Store: u, Longest: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		err = newScheduler(t, rotation.SchedulerConfig{Jobs: jobs}).RunNow(t.Context(), rotation.JobPrune)
		if (err != nil) != refused || u.before.IsZero() != refused {
			t.Errorf("with the database %s ahead: %v, pruned before %s", ahead, err, u.before)
		}
	}
}

func TestUpkeepJobsRefuses(t *testing.T) {
	tests := map[string]rotation.UpkeepConfig{
		"no store":             {Longest: time.Hour},
		"no longest validity":  {Store: &upkeep{}},
		"a negative retention": {Store: &upkeep{}, Longest: time.Hour, Retention: -1},
		"revocations that are kept for less than nothing": {Store: &upkeep{}, Longest: time.Hour, KeepRevocations: -1},
	}
	for name, cfg := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := rotation.UpkeepJobs(cfg); err == nil {
				t.Error("was taken")
			}
		})
	}
}
