package diagnosis

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pando-ca/pando/rotation"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
)

const (
	// clockWarning is what two clocks that are kept by NTP do not differ by.
	clockWarning = time.Second
	// replicaSilent is for how long a replica may say nothing: each tells of itself twice a minute.
	replicaSilent = 90 * time.Second
	// leaseCritical is how long nobody may lead: as for the alert.
	leaseCritical = 5 * time.Minute
	// partitionSlack is how far beyond the longest certificate partitions are to reach: the job makes
	// a week more, four times a day.
	partitionSlack = 5 * day
	// backupWarning is how old the last backup may be, as in the alert.
	backupWarning = 2 * day
	// backupCritical is from when on a backup is of little use: leaves of a day have all been
	// replaced many times, and so may intermediates have been.
	backupCritical = 14 * day
)

// storeChecks are about the database, and this replica beside it.
func (e *Examiner) storeChecks() {
	db := e.cfg.Database
	e.add("leases", func(ctx context.Context, _ time.Time) (verdict, error) {
		states, err := db.LeaseStates(ctx)
		return judgeLeases(states), err
	})
	e.add("clock", func(ctx context.Context, _ time.Time) (verdict, error) {
		skew, err := Skew(ctx, db)
		return judgeClock(skew, e.cfg.Policy.Skew), err
	})
	e.add("replicas", func(ctx context.Context, _ time.Time) (verdict, error) {
		all, err := db.Replicas(ctx)
		return judgeReplicas(all, e.cfg.Policy.Skew), err
	})
	e.add("schema", func(ctx context.Context, _ time.Time) (verdict, error) {
		version, err := db.SchemaVersion(ctx)
		return judgeSchema(version, e.cfg.Schema), err
	})
	e.add("partitions", func(ctx context.Context, now time.Time) (verdict, error) {
		until, err := db.PartitionsUntil(ctx, now)
		return judgePartitions(until, e.cfg.Policy.LongestLeaf, now), err
	})
	e.add("backup", func(ctx context.Context, _ time.Time) (verdict, error) {
		_, age, err := db.Milestone(ctx, store.MilestoneBackup)
		if errors.Is(err, store.ErrNotFound) {
			return judgeBackup(-1), nil
		}
		return judgeBackup(age), err
	})
	e.entryChecks()
}

// judgeLeases looks whether somebody leads the rotation.
func judgeLeases(states []store.LeaseState) verdict {
	const advice = "pando schedule list at each replica, and docs/runbooks/scheduler-stalled.md"
	v := fine("one replica leads the rotation")
	led := false
	for _, l := range states {
		held := "held by " + l.Holder
		if l.Left <= 0 {
			held = "held by nobody"
		}
		v.note(l.Name, fmt.Sprintf("%s, term %d", held, l.Term))
		if l.Name != rotation.LeaseName {
			continue // taken when there is something to do
		}
		led = true
		released := l.ExpiresAt.Unix() <= 0 // which leaves no time
		v.grade(!released && l.Left < -leaseCritical, l.Left <= 0, advice, "nobody leads the rotation%s", sinceText(released, l.Left))
	}
	if !led {
		v.say(server.LevelCritical, advice, "nobody has ever led the rotation")
	}
	return v
}

func sinceText(released bool, left time.Duration) string {
	if released {
		return " at the moment: who led has given it up"
	}
	return fmt.Sprintf(": the lease ran out %s ago", span(-left))
}

// Skew is by how much the clock of a database is ahead of that of this machine, as far as that is
// certain.
func Skew(ctx context.Context, clock interface {
	Now(ctx context.Context) (time.Time, error)
}) (time.Duration, error) {
	before := time.Now()
	at, err := clock.Now(ctx)
	return clockFact{before: before, at: at, after: time.Now()}.skew(), err
}

// clockFact is a time of the database, and those of this machine around it.
type clockFact struct{ before, at, after time.Time }

// skew is by how much the database is ahead, as far as that is certain: what the question took may
// have passed before the answer or after.
func (f clockFact) skew() time.Duration {
	switch {
	case f.at.After(f.after):
		return f.at.Sub(f.after)
	case f.at.Before(f.before):
		return f.at.Sub(f.before)
	}
	return 0
}

// judgeClock compares the clock of this replica with that of the database.
func judgeClock(skew, most time.Duration) verdict {
	v := fine("the clocks of this replica and of the database agree")
	v.note("skew", skew)
	v.note("most", most)
	direction := "behind"
	if skew < 0 {
		direction = "ahead of"
	}
	v.grade(skew.Abs() >= most, skew.Abs() > clockWarning, "set the clock by NTP: chronyc tracking, or timedatectl timesync-status",
		"the clock of this replica is %s %s that of the database; rotation.skew is %s", span(skew.Abs()), direction, span(most))
	return v
}

// judgeReplicas looks at what each replica has told of itself.
func judgeReplicas(all []store.Replica, most time.Duration) verdict {
	const clock = "set the clock by NTP: chronyc tracking, or timedatectl timesync-status"
	v := fine("%d replicas run, of one version and with clocks that agree", len(all))
	versions := make(map[string]bool)
	for _, r := range all {
		v.note(r.Name, fmt.Sprintf("%s, seen %s ago, skew %s", r.Version, span(r.Age), r.Skew))
		if r.Age > replicaSilent {
			v.say(server.LevelWarning, "docs/runbooks/pando-down.md", "replica %s was not stopped, and has said nothing for %s", r.Name, span(r.Age))
			continue
		}
		versions[r.Version] = true
		v.grade(r.Skew.Abs() >= most, r.Skew.Abs() > clockWarning, clock,
			"the clock of replica %s differs from that of the database by %s; rotation.skew is %s", r.Name, span(r.Skew.Abs()), span(most))
	}
	if len(versions) > 1 {
		v.say(server.LevelWarning, "finish the upgrade: docs/operations.md",
			"replicas are of different versions: %s", few(slices.Sorted(maps.Keys(versions)), ", "))
	}
	return v
}

// judgeSchema compares the schema of the database with that of this binary.
func judgeSchema(have, want int64) verdict {
	v := fine("the schema is that of this version, %d", want)
	v.note("database", have)
	v.note("binary", want)
	v.grade(have < want, have > want, schemaAdvice(have, want), "the schema of the database is version %d, and this version of Pando is made for %d", have, want)
	return v
}

func schemaAdvice(have, want int64) string {
	if have < want {
		return "pando migrate"
	}
	return "install the newer version, which has migrated the database, on this replica too"
}

// judgePartitions looks how far ahead the partitions reach; until is zero where there are none.
func judgePartitions(until time.Time, longest time.Duration, now time.Time) verdict {
	if until.IsZero() {
		return fine("this database has no partitions")
	}
	ahead := until.Sub(now)
	v := fine("partitions reach to %s", instant(until))
	v.note("until", instant(until))
	v.note("longest_certificate", span(longest))
	v.grade(ahead < longest, ahead < longest+partitionSlack, "pando schedule run partitions, and docs/runbooks/scheduler-stalled.md",
		"partitions are made for %s ahead, and certificates live for %s: others are made while callers wait", span(ahead), span(longest))
	return v
}

// judgeBackup looks how old the last backup is; a negative age says that there is none.
func judgeBackup(age time.Duration) verdict {
	v := fine("the last backup was made %s ago", span(age))
	if age < 0 {
		v.say(server.LevelWarning, "pando backup create, and docs/backup.md for a schedule", "no backup was ever made")
		return v
	}
	v.note("age", span(age))
	v.grade(age > backupCritical, age > backupWarning, "pando backup create, and docs/runbooks/backup-stale.md", "the last backup was made %s ago", span(age))
	return v
}
