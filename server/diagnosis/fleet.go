package diagnosis

import (
	"context"
	"fmt"
	"time"

	"github.com/pando-ca/pando/rotation"
	"github.com/pando-ca/pando/server"
)

const (
	// overdueShare is the part of the live identities that may be overdue: as in the alert.
	overdueShare = 0.01
	// missedPeriods is how many periods may pass without a run of a job that succeeds.
	missedPeriods = 3
	// jobGrace is how late a job may be however short its period is, as for the alert.
	jobGrace = 5 * time.Minute
)

// fleetChecks are about the holders of certificates, by the figures that one replica counts for all.
func (e *Examiner) fleetChecks() {
	add := func(name string, judge func(*server.Figures, time.Time) verdict) {
		e.add(name, func(_ context.Context, now time.Time) (verdict, error) {
			figures := e.cfg.Fleet.Figures()
			if figures == nil {
				return verdict{}, errNotKnown("the fleet was not counted lately: see the job figures in pando schedule list")
			}
			return judge(figures, now), nil
		})
	}
	add("identities", judgeIdentities)
	add("incidents", judgeIncidents)
}

// judgeIdentities counts those that do not renew.
func judgeIdentities(figures *server.Figures, _ time.Time) verdict {
	count := make(map[server.IdentityState]int)
	for _, c := range figures.Identities {
		count[c.State] += c.Count
	}
	live, overdue, expired := count[server.IdentityLive], count[server.IdentityOverdue], count[server.IdentityExpired]
	v := fine("%d identities are live, %d are overdue", live, overdue)
	for _, state := range server.IdentityStates() {
		v.note(string(state), count[state])
	}
	v.grade(expired > 0, false, "pando identity list --state expired, and docs/runbooks/identities-overdue.md",
		"%d identities have expired without a successor", expired)
	v.grade(false, float64(overdue) > overdueShare*float64(live), "pando identity list --state overdue, and docs/runbooks/identities-overdue.md",
		"%d identities are overdue, and %d are live", overdue, live)
	return v
}

// judgeIncidents looks for re-issues that are open, and late.
func judgeIncidents(figures *server.Figures, now time.Time) verdict {
	v := fine("no incident is open")
	if len(figures.Incidents) > 0 {
		v.fine = fmt.Sprintf("%d incidents are open, and not late", len(figures.Incidents))
	}
	for _, i := range figures.Incidents {
		v.note(i.ID, fmt.Sprintf("%d certificates left, deadline %s", i.Left, instant(i.Deadline)))
		v.grade(i.Left > 0 && now.After(i.Deadline), false, "pando incident show "+i.ID+", and docs/runbooks/incident-late.md",
			"incident %s was to be over at %s, and %d certificates are left", i.ID, instant(i.Deadline), i.Left)
	}
	return v
}

// judgeJobs looks for jobs of this replica that fail, or do not run.
func judgeJobs(jobs []rotation.Status, now time.Time) verdict {
	v := fine("every job of this replica does its work")
	for _, j := range jobs {
		v.note(j.Name, fmt.Sprintf("%d runs succeeded, %d failed, %d skipped", j.Succeeded, j.Failed, j.Skipped))
		since := now.Sub(j.LastSuccess)
		stalled := !j.LastSuccess.IsZero() && since > max(missedPeriods*j.Period, jobGrace)
		v.grade(stalled, false, "pando schedule run "+j.Name+", and docs/runbooks/scheduler-stalled.md",
			"job %s has not succeeded for %s", j.Name, span(since))
		v.grade(false, !stalled && j.LastError != nil, "pando schedule list, and docs/runbooks/scheduler-stalled.md",
			"the last run of job %s has failed", j.Name)
	}
	return v
}
