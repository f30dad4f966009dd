package rotation_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pando-ca/pando/rotation"
	"github.com/pando-ca/pando/store"
)

// lastBackup is the milestone of the job.
type lastBackup struct {
	at    time.Time
	fails error
}

func (l *lastBackup) Milestone(context.Context, string) (time.Time, time.Duration, error) {
	switch {
	case l.fails != nil:
		return time.Time{}, 0, l.fails
	case l.at.IsZero():
		return time.Time{}, 0, store.ErrNotFound
	}
	return l.at, time.Since(l.at), nil
}

// TestBackupJob: of several replicas that come to their runs minutes apart one makes the backup, whoever is
// there, and when one fails the next one makes it.
func TestBackupJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leases, last := newOneLease(), &lastBackup{}
		var made []string
		fails := false
		replica := func(name string) func() error {
			job, err := rotation.BackupJob(rotation.BackupConfig{
				Schedule: "0 2 * * *", Leases: leases, Milestones: last, Holder: name, TTL: time.Minute,
				Make: func(ctx context.Context, _ time.Time) error {
					time.Sleep(3 * time.Minute) // longer than the lease
					if fails {
						return errInjected
					}
					made, last.at = append(made, name), time.Now()
					return ctx.Err()
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			if job.Name != rotation.JobBackup {
				t.Errorf("the job is called %q", job.Name)
			}
			return func() error { return job.Do(t.Context(), time.Now()) }
		}
		a, b := replica("a"), replica("b")
		night := func(first, second func() error, apart time.Duration) {
			done := make(chan error)
			go func() { done <- first() }()
			time.Sleep(apart)
			if err := errors.Join(second(), <-done); err != nil {
				t.Error(err)
			}
			time.Sleep(23 * time.Hour)
		}
		night(a, b, time.Second)   // the other one is at it
		night(b, a, 4*time.Minute) // it has just been done
		night(a, b, 4*time.Minute) // nobody keeps the lease until the next day
		if want := []string{"a", "b", "a"}; !slices.Equal(made, want) {
			t.Errorf("made by %q, want %q", made, want)
		}
		fails = true
		if err := a(); !errors.Is(err, errInjected) {
			t.Errorf("one that failed: %v", err)
		}
		fails = false
		if err := b(); err != nil || len(made) != 4 {
			t.Errorf("after one that failed: %v, %q", err, made)
		}
		time.Sleep(time.Hour)
		last.at = time.Now().Add(365 * 24 * time.Hour)
		if err := a(); err != nil || len(made) != 5 {
			t.Errorf("after the clock of the database was ahead: %v, %q", err, made)
		}
		time.Sleep(time.Hour)
		last.fails = errInjected
		if err := a(); !errors.Is(err, errInjected) || len(made) != 5 {
			t.Errorf("when it is not known whether one was made: %v, %q", err, made)
		}
	})
}

func TestBackupJobRefuses(t *testing.T) {
	good := rotation.BackupConfig{
		Schedule: "@daily", Leases: newOneLease(), Milestones: &lastBackup{}, Holder: "a", TTL: time.Minute,
		Make: func(context.Context, time.Time) error { return nil },
	}
	for name, spoil := range map[string]func(*rotation.BackupConfig){
		"no schedule":   func(c *rotation.BackupConfig) { c.Schedule = "" },
		"no leases":     func(c *rotation.BackupConfig) { c.Leases = nil },
		"no milestones": func(c *rotation.BackupConfig) { c.Milestones = nil },
		"no holder":     func(c *rotation.BackupConfig) { c.Holder = "" },
		"no TTL":        func(c *rotation.BackupConfig) { c.TTL = 0 },
		"no work":       func(c *rotation.BackupConfig) { c.Make = nil },
	} {
		bad := good
		spoil(&bad)
		if _, err := rotation.BackupJob(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
