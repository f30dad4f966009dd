package main

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/rotation"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
)

// openRotation makes the rotator and the jobs that recur, and does once what must be done
// before certificates are issued. An intermediate that has become due while no replica ran is
// replaced here, so that a long outage does not end in a refusal to start.
func (d *daemon) openRotation(ctx context.Context, v *vault) (err error) {
	if d.profiles, err = d.cfg.profiles(); err != nil {
		return err
	}
	holder := d.name
	d.rotator, err = rotation.NewRotator(rotation.RotatorConfig{
		Store: d.db, Keys: v.keys, Policy: d.cfg.rotationPolicy(d.profiles), URLs: d.cfg.urls(),
		Holder: holder, LeaseTTL: time.Duration(d.cfg.Rotation.Lease), CRLShards: d.cfg.CRL.Shards, Log: d.log,
	})
	if err != nil {
		return err
	}
	d.publisher, err = rotation.NewPublisher(rotation.PublisherConfig{
		Store: d.db, Keys: v.keys, Policy: d.cfg.crlPolicy(), Holder: holder, Log: d.log,
	})
	if err != nil {
		return err
	}
	jobs, err := rotation.UpkeepJobs(rotation.UpkeepConfig{
		Store: d.db, Longest: d.longestLeaf(), Retention: max(time.Duration(d.cfg.Records.Retention), time.Second), // 0 means the default there
		KeepRevocations: d.cfg.crlPolicy().KeepRevocations(),
	})
	if err != nil {
		return err
	}
	keys, err := rotation.KeySweepJob(rotation.KeySweepConfig{Store: d.db, Destroy: v.keys.Destroy, Schedule: d.cfg.Rotation.Schedule})
	if err != nil {
		return err
	}
	jobs = append(jobs, keys,
		rotation.Job{Name: rotation.JobRotate, Schedule: d.cfg.Rotation.Schedule, Do: d.rotator.Tick},
		rotation.Job{Name: rotation.JobCRLs, Schedule: d.cfg.CRL.Schedule, Do: d.publisher.Publish},
	)
	leased, err := d.leasedJobs(holder)
	if err != nil {
		return err
	}
	jobs = append(jobs, leased...)
	if d.cfg.Backup.Schedule != "" {
		job, err := d.backupJob(holder)
		if err != nil {
			return err
		}
		jobs = append(jobs, job)
	}
	if d.scheduler, err = rotation.NewScheduler(rotation.SchedulerConfig{Jobs: jobs, Log: d.log}); err != nil {
		return err
	}
	if err := d.scheduler.RunNow(ctx, rotation.JobPartitions); err != nil {
		return describeDatabase(err)
	}
	return d.catchUp(ctx)
}

// leasedJobs are those that one replica does for all. They run once d.service is there.
func (d *daemon) leasedJobs(holder string) ([]rotation.Job, error) {
	preRenew := func(ctx context.Context, _ store.Fence, now time.Time) error { return d.service.PreRenew(ctx, now) }
	figures := func(ctx context.Context, fence store.Fence, now time.Time) error {
		return d.service.RefreshFigures(ctx, fence, now)
	}
	var jobs []rotation.Job
	for _, cfg := range []rotation.LeasedConfig{
		{Name: rotation.JobPreRenew, Schedule: d.cfg.PreRenewal.Schedule, Do: preRenew},
		{Name: rotation.JobFigures, Schedule: d.cfg.Figures.Schedule, Do: figures},
	} {
		cfg.Leases, cfg.Holder, cfg.TTL = d.db, holder, time.Duration(d.cfg.Rotation.Lease)
		leased, err := rotation.NewLeased(cfg)
		if err != nil {
			return nil, err
		}
		d.leased = append(d.leased, leased)
		jobs = append(jobs, leased.Job())
	}
	return jobs, nil
}

// missedFigures is how many counts of the fleet in a row may fail, or come late, before the last
// one is no longer shown.
const missedFigures = 4

func (d *daemon) figuresAge() time.Duration {
	for _, job := range d.scheduler.Status(time.Now()) {
		if job.Name == rotation.JobFigures {
			return missedFigures * job.Period
		}
	}
	return 0 // the default there
}

func (d *daemon) longestLeaf() time.Duration {
	var longest time.Duration
	for _, p := range d.profiles {
		longest = max(longest, p.MaxDuration)
	}
	return longest
}

// catchUp carries out the steps that are due, and publishes the CRLs that are. A failure is logged only: whether this replica
// can serve is judged by what it finds in the database afterwards.
func (d *daemon) catchUp(ctx context.Context) error {
	number, err := d.db.GenerationNumber(ctx)
	switch {
	case err != nil:
		return describeDatabase(err)
	case number == 0:
		return errNoCA
	}
	if err := d.scheduler.RunNow(ctx, rotation.JobRotate); err != nil {
		d.log.WarnContext(ctx, "rotation did not catch up", "error", err)
	}
	if err := d.scheduler.RunNow(ctx, rotation.JobCRLs); err != nil {
		d.log.WarnContext(ctx, "CRLs not published", "error", err)
	}
	return nil
}

// replicaName tells replicas apart in the lease, also two on one machine.
func replicaName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "pando"
	}
	return fmt.Sprintf("%s/%d/%s", host, os.Getpid(), rand.Text()[:8])
}

// follow keeps this replica on the current generation until ctx ends.
func (d *daemon) follow(ctx context.Context) error {
	return d.service.Follow(ctx, server.FollowConfig{
		Store:       d.db,
		Revocations: d.db,
		Open:        func(gen *store.Generation) (*ca.Set, error) { return d.open(d.vault, gen) },
		Health:      d.health.Generation,
	})
}

// releaseTimeout bounds the last word to the database. If it is not heard, the lease runs out.
const releaseTimeout = 2 * time.Second

// release lets another replica lead at once when this one stops.
func (d *daemon) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if err := d.rotator.Release(ctx); err != nil {
		d.log.WarnContext(ctx, "lease not released", "error", err)
	}
	for _, leased := range d.leased {
		if err := leased.Release(ctx); err != nil {
			d.log.WarnContext(ctx, "lease not released", "error", err)
		}
	}
}

// authorityStatus shows the rotation and the CRLs to the use cases, which do not know them.
type authorityStatus struct {
	rotator   *rotation.Rotator
	publisher *rotation.Publisher
}

var _ server.Rotation = authorityStatus{}

// Status implements server.Rotation.
func (s authorityStatus) Status(ctx context.Context, now time.Time) ([]server.AuthorityStatus, error) {
	gen, gates, err := s.rotator.Gates(ctx, now)
	if err != nil {
		return nil, err
	}
	crls := make(map[string]rotation.CRLStatus)
	for _, c := range s.publisher.Status() {
		crls[c.Authority] = c
	}
	all := make([]server.AuthorityStatus, len(gen.Authorities))
	for i, row := range gen.Authorities {
		cert, err := x509.ParseCertificate(row.Certificate)
		if err != nil {
			return nil, fmt.Errorf("authority %s: %w", row.ID, err)
		}
		all[i] = server.AuthorityStatus{
			ID: row.ID, Role: ca.Role(row.Role), State: ca.State(row.State), ParentID: row.ParentID,
			NotBefore: cert.NotBefore, NotAfter: cert.NotAfter, StateSince: row.StateSince,
			Certificate: row.Certificate, Sequence: row.Sequence,
			Waiting: gates[i].Waiting, OpensAt: gates[i].OpensAt,
			Live: gates[i].Live, Followers: gates[i].Followers, Behind: gates[i].Behind,
			CRLThisUpdate: crls[row.ID].ThisUpdate, CRLNextUpdate: crls[row.ID].NextUpdate, CRLEntries: crls[row.ID].Entries,
		}
	}
	return all, nil
}

// jobStatus shows the scheduler to the use cases, which do not know it.
type jobStatus struct{ scheduler *rotation.Scheduler }

var _ server.Jobs = jobStatus{}

// Status implements server.Jobs.
func (s jobStatus) Status(now time.Time) []server.JobStatus {
	var all []server.JobStatus
	for _, j := range s.scheduler.Status(now) {
		status := server.JobStatus{
			Name: j.Name, Schedule: j.Schedule, NextRun: j.Next, Running: j.Running,
			LastSuccess: j.LastSuccess, LastDuration: j.LastTook,
			Succeeded: j.Succeeded, Failed: j.Failed, Skipped: j.Skipped,
		}
		if j.LastError != nil {
			status.LastError = j.LastError.Error()
		}
		all = append(all, status)
	}
	return all
}

// RunNow implements server.Jobs.
func (s jobStatus) RunNow(ctx context.Context, name string) error {
	err := s.scheduler.RunNow(ctx, name)
	if errors.Is(err, rotation.ErrRunning) {
		return server.ErrJobRunning
	}
	return err
}
