package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/rotation"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/server/auth"
	"github.com/pando-ca/pando/server/diagnosis"
	"github.com/pando-ca/pando/server/metrics"
	"github.com/pando-ca/pando/store"
)

// daemon is a running server: its parts, in the order in which they are built. They are taken
// down in the opposite order.
type daemon struct {
	cfg  *config
	log  *slog.Logger
	name string // tells this replica apart

	tracing   *tracing // nil: nothing is traced
	db        database
	profiles  []policy.Profile
	metrics   *metrics.Metrics
	batcher   *store.Batcher
	service   *server.Service
	auth      *auth.Authenticator
	vault     *vault
	rotator   *rotation.Rotator
	publisher *rotation.Publisher
	scheduler *rotation.Scheduler
	roles     roles
	leased    []*rotation.Leased
	serving   *server.Serving
	health    *health
	doors     []*door // for requests
	metricsAt *door   // up for longer than the others; nil: closed
}

// newDaemon builds everything up to open listeners, which is where a mistake in the
// configuration, the database or the keys shows. It serves nothing yet. On an error nothing is
// left open.
func newDaemon(ctx context.Context, cfg *config, sealKeyText string, log *slog.Logger) (*daemon, error) {
	d := &daemon{cfg: cfg, log: log, name: replicaName()}
	vault, err := openVault(sealKeyText, cfg.SealKeyFile)
	if err != nil {
		return nil, err
	}
	d.vault = vault
	steps := []func(context.Context) error{
		func(ctx context.Context) (err error) {
			d.tracing, err = openTracing(ctx, cfg.Keys.Backend, log)
			return err
		},
		d.openStore,
		func(context.Context) error { return vault.openToken(&cfg.Keys, d.db) },
		func(ctx context.Context) error { return d.openRotation(ctx, vault) },
		func(ctx context.Context) error { return d.openService(ctx, vault) },
		d.openAuth,
		d.openServing,
		d.openDoors,
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, d.close())
		}
	}
	return d, nil
}

// openStore waits for the database, migrates it if that was asked for, and opens it.
func (d *daemon) openStore(ctx context.Context) error {
	notice := func(err error) { d.log.WarnContext(ctx, "waiting for the database", "error", err) }
	return awaitDatabase(ctx, time.Duration(d.cfg.Timeouts.Startup), notice, func(ctx context.Context) (err error) {
		if d.cfg.Migrate {
			if err := migrateDatabase(ctx, d.cfg, false); err != nil {
				return err
			}
		}
		d.db, err = openAudited(ctx, d.cfg, d.logAudits)
		return err
	})
}

// logAudits writes the end of the chain of audit rows to the log, with each change: a copy that
// who administers the database cannot change.
func (d *daemon) logAudits(rows []store.Audit) {
	for i := range rows {
		a := &rows[i]
		d.log.Info("audit", "action", printable(a.Action), "actor", printable(a.Actor), "target", printable(a.Target), "head", a.Head().String())
	}
}

// openService reads the authorities and makes the use cases on them.
func (d *daemon) openService(ctx context.Context, v *vault) error {
	set, err := d.authorities(ctx, v)
	if err != nil {
		return err
	}
	version := readVersion()
	d.metrics = metrics.New(metrics.Config{
		Backend: d.cfg.Keys.Backend, Profiles: d.profiles, TrustDomain: set.TrustDomain().String(),
		Version: version.Version, Revision: version.Revision, Exemplars: d.tracing != nil, Log: d.log,
	})
	d.batcher, err = store.NewBatcher(store.BatcherConfig{
		Inserter: d.db, MaxWaiting: d.cfg.Limits.MaxWaiting, Observer: d.metrics,
	})
	if err != nil {
		return err
	}
	administrators, err := d.cfg.administrators(set.TrustDomain())
	if err != nil {
		return err
	}
	var issuers []string
	for _, issuer := range d.cfg.Issuers {
		issuers = append(issuers, issuer.Name)
	}
	importer, err := newImporter(d.cfg, d.db, v)
	if err != nil {
		return err
	}
	examiner, err := newExaminer(d.cfg, d.db, v, diagnosis.Config{Fleet: fleetOf{d}, Jobs: d.scheduler, Log: d.log})
	if err != nil {
		return err
	}
	d.service, err = server.New(server.Config{
		Diagnostics: examiner, Version: version.Version,
		Set: set, Issuances: d.batcher, Records: d.db, Entries: d.db, Tokens: d.db, Revocations: d.db,
		Acks: d.db, Holdings: d.db, Fleet: d.db, CRLs: d.db, MTLS: d.db, Imports: imports{importer},
		Rotation: authorityStatus{d.rotator, d.publisher}, Progress: progress{&d.roles, d.rotator, d.name}, Jobs: jobStatus{d.scheduler}, Audits: d.db,
		Orders: byHand{d.rotator}, Incidents: byHand{d.rotator}, Milestones: d.db,
		Profiles: d.profiles, Administrators: administrators, Issuers: issuers,
		IdentityRate: d.cfg.Limits.IdentityRate, IdentityBurst: d.cfg.Limits.IdentityBurst,
		AddressRate: d.cfg.Limits.AddressRate, AddressBurst: d.cfg.Limits.AddressBurst,
		PreRenewRate: d.cfg.PreRenewal.Rate, FiguresAge: d.figuresAge(),
		Observer: d.metrics, Log: d.log,
	})
	d.roles.policy, d.roles.fleet = d.cfg.rotationPolicy(d.profiles), d.service
	return err
}

// authorities opens the CA in the database. There must be one: a server that made its own
// would hide that it is looking at the wrong database.
func (d *daemon) authorities(ctx context.Context, v *vault) (*ca.Set, error) {
	gen, err := d.db.Generation(ctx)
	if errors.Is(err, store.ErrNotFound) {
		return nil, errNoCA
	}
	if err != nil {
		return nil, describeDatabase(err)
	}
	return d.open(v, gen)
}

// open opens a generation, and has the metrics tell how far its rotation has come.
func (d *daemon) open(v *vault, gen *store.Generation) (*ca.Set, error) {
	set, err := openSet(v, d.cfg, gen, time.Now())
	if err == nil {
		d.roles.generation.Store(gen)
	}
	return set, err
}

// openServing issues the certificate that the TLS doors show.
func (d *daemon) openServing(ctx context.Context) (err error) {
	host, err := os.Hostname()
	if err != nil {
		host = "" // it is only noted in the record
	}
	d.serving, err = server.NewServing(ctx, d.service, server.ServingConfig{
		DNSNames: d.cfg.Serving.DNSNames, Profile: d.cfg.Serving.Profile,
		Duration: time.Duration(d.cfg.Serving.Duration), Address: host, Log: d.log,
	})
	if errors.Is(err, store.ErrUnavailable) {
		return describeDatabase(err)
	}
	return err
}

// run serves until ctx ends or a part fails, and returns when all that it started is gone.
func (d *daemon) run(ctx context.Context) error {
	group, stopping := errgroup.WithContext(ctx)
	// What works in the background does so until the last request is answered.
	working, stopWorking := context.WithCancel(context.WithoutCancel(ctx))
	for _, work := range []func(context.Context) error{
		d.service.Run, d.follow, d.auth.Run, d.scheduler.Run, d.serving.Run, d.health.Run, d.appear,
	} {
		group.Go(func() error { return work(working) })
	}
	for _, door := range d.allDoors() {
		group.Go(door.serve)
	}
	group.Go(func() error {
		<-stopping.Done()
		defer stopWorking()
		return d.drain(stopping)
	})
	d.log.InfoContext(ctx, "serving", d.addresses()...)
	err := group.Wait()
	d.release(ctx) // nothing ticks any more
	d.log.InfoContext(ctx, "stopped")
	return err
}

// drain takes the server down so that nothing is lost: it tells load balancers first, then
// answers the requests in flight, then records what waits to be recorded. The endpoint for
// health and metrics goes last, so that all of this can be watched.
func (d *daemon) drain(stopping context.Context) error {
	ctx := context.WithoutCancel(stopping)
	d.log.InfoContext(ctx, "draining")
	d.health.Drain()
	if wait := time.Duration(d.cfg.Timeouts.LameDuck); wait > 0 {
		time.Sleep(wait) // for the clocks of others: there is nothing to wait for
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(d.cfg.Timeouts.Drain))
	defer cancel()
	var requests errgroup.Group
	for _, door := range d.doors {
		requests.Go(func() error { return door.shutdown(ctx) })
	}
	err := requests.Wait()
	d.batcher.Close()
	if d.metricsAt != nil {
		err = errors.Join(err, d.metricsAt.shutdown(ctx))
	}
	return err
}

// close releases what newDaemon opened, as far as it came.
func (d *daemon) close() error {
	var errs []error
	for _, door := range d.allDoors() {
		door.close()
	}
	if d.batcher != nil {
		d.batcher.Close()
	}
	d.tracing.close()
	if err := d.vault.close(); err != nil {
		errs = append(errs, fmt.Errorf("close token: %w", err))
	}
	if d.db != nil {
		if err := d.db.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close database: %w", err))
		}
	}
	return errors.Join(errs...)
}
