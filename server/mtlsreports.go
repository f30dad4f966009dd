package server

import (
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/pando-ca/pando/ca/mtls"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/store"
)

// MTLSReport is what one instance of a program says of its listeners.
type MTLSReport struct {
	Instance  string // 16 hex digits, drawn when the program has started
	Listeners []MTLSListener
}

// MTLSListener is what has been seen on one listener. The times are of the clock of the program.
type MTLSListener struct {
	Name          string // empty: the default name
	Mode          mtls.Mode
	Source        mtls.Source // who has decided on the mode
	ObservedSince time.Time
	LastMTLS      time.Time // zero: none yet
	LastPlaintext time.Time // zero: none yet
}

const (
	// maxListeners is the most in one report.
	maxListeners = 64
	// instanceLength is that of the name of an instance, in hex digits.
	instanceLength = 16
	// maxReports is how many are kept of one SPIFFE ID: of ten thousand instances, five listeners
	// each. One that has more is not ready for anything.
	maxReports = 50_000
)

// ReportMTLS takes down what the holder of a certificate says of its listeners. It returns when
// that is durable. It is kept until a week after the certificate has ended.
func (s *Service) ReportMTLS(ctx context.Context, caller policy.Caller, report MTLSReport) error {
	now := time.Now()
	if err := s.authorize(ctx, caller, OpReportMTLS); err != nil {
		return err
	}
	if caller.Method != policy.MethodPeer {
		return permissionDenied("the certificate of the program that reports is required")
	}
	if err := report.check(); err != nil {
		return err
	}
	if err := s.reporters.take(caller.Subject, 1, now); err != nil {
		return err
	}
	held, err := s.recorded(ctx, caller)
	switch {
	case err != nil:
		return err
	case held == nil:
		return permissionDenied("the presented certificate has no record")
	case s.reports == nil:
		return noMTLS()
	}
	rows := make([]store.MTLSReport, 0, len(report.Listeners))
	for _, l := range report.Listeners {
		rows = append(rows, store.MTLSReport{
			SPIFFEID: caller.ID.String(), Listener: l.name(), Instance: report.Instance, Mode: string(l.Mode), Source: string(l.Source),
			ObservedSince: mtls.Clamp(l.ObservedSince, now), LastMTLS: mtls.Clamp(l.LastMTLS, now), LastPlaintext: mtls.Clamp(l.LastPlaintext, now),
			ReportedAt: now, NotAfter: held.notAfter,
		})
	}
	return s.reports.write(ctx, rows)
}

// name is that of the listener, also of one that its program gives none.
func (l *MTLSListener) name() string {
	if l.Name == "" {
		return mtls.DefaultName
	}
	return l.Name
}

func (r *MTLSReport) check() error {
	switch {
	case len(r.Instance) != instanceLength || strings.Trim(r.Instance, "0123456789abcdef") != "":
		return invalid("instance: want %d lower-case hex digits", instanceLength)
	case len(r.Listeners) > maxListeners:
		return invalid("listeners: %d, at most %d", len(r.Listeners), maxListeners)
	}
	names := make(map[string]bool, len(r.Listeners))
	for i := range r.Listeners {
		l := &r.Listeners[i]
		switch {
		case mtls.CheckName(l.name()) != nil:
			return invalid("listeners: %v", mtls.CheckName(l.name()))
		case names[l.name()]:
			return invalid("listeners: %q stands twice", l.name())
		case !slices.Contains(mtls.Modes(), l.Mode):
			return invalid("listeners: mode: %.40q is none of strict, permissive, disabled", string(l.Mode))
		case !slices.Contains(mtls.Sources(), l.Source):
			return invalid("listeners: from: %.40q is none of code, policy, override, local", string(l.Source))
		case l.ObservedSince.IsZero():
			return invalid("listeners: observed_since: needed")
		}
		names[l.name()] = true
	}
	return nil
}

const (
	// reportGather is how long reports are collected: many programs report in one moment when a
	// policy changes, and theirs are quick to be answered all the same.
	reportGather = 50 * time.Millisecond
	// reportBatch is the most rows that are written in one transaction.
	reportBatch = 1000
	// reportTimeout bounds each, and reportWaiting the rows that wait while the database is slow.
	reportTimeout = 10 * time.Second
	reportWaiting = 50_000
	// reportRemembered is how many instances are known by what they report on, and reportFull for how
	// long an identity with too many is not counted again.
	reportRemembered = 200_000
	reportFull       = time.Minute
)

// reporter writes reports in batches.
type reporter struct {
	store store.MTLSReports
	log   *slog.Logger
	more  chan struct{} // has something when open has grown
	seed  maphash.Seed
	known *lru.Cache[reportInstance, uint64] // that have rows, with the hash of the names of the last ones
	full  *lru.Cache[string, time.Time]      // until when a SPIFFE ID is not counted again

	mu      sync.Mutex
	open    []*reports // wait to be written
	waiting int        // rows in open
	stopped bool       // nobody writes any more
}

// reportInstance is one program that runs.
type reportInstance struct{ spiffeID, instance string }

func instanceOf(rows []store.MTLSReport) reportInstance {
	return reportInstance{rows[0].SPIFFEID, rows[0].Instance}
}

// names is a hash of the names of the listeners.
func (r *reporter) names(rows []store.MTLSReport) uint64 {
	names := make([]string, len(rows))
	for i := range rows {
		names[i] = rows[i].Listener
	}
	slices.Sort(names)
	return maphash.String(r.seed, strings.Join(names, "\n"))
}

// reports is one report on its way. What err is stands once done is closed.
type reports struct {
	rows []store.MTLSReport
	done chan struct{}
	err  error
}

func newReporter(to store.MTLSReports, log *slog.Logger) *reporter {
	known, err := lru.New[reportInstance, uint64](reportRemembered)
	if err != nil {
		panic(err) // only for a size below one
	}
	full, err := lru.New[string, time.Time](limiterKeys)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &reporter{store: to, log: log, more: make(chan struct{}, 1), seed: maphash.MakeSeed(), known: known, full: full}
}

// write returns once the rows, all of one instance, are durable.
func (r *reporter) write(ctx context.Context, rows []store.MTLSReport) error {
	if len(rows) == 0 {
		return nil
	}
	if err := r.admit(ctx, rows); err != nil {
		return err
	}
	one := &reports{rows: rows, done: make(chan struct{})}
	if err := r.add(one); err != nil {
		return err
	}
	select {
	case <-one.done:
		return one.err
	case <-ctx.Done():
		return fmt.Errorf("wait for mTLS reports: %w: %w", store.ErrUnavailable, ctx.Err())
	}
}

// admit refuses what may make new rows of an identity that has too many already: a program that
// draws its name, or those of its listeners, anew for each report could fill the database. Instances
// that restart for long may come to that too; their rows go with time.
func (r *reporter) admit(ctx context.Context, rows []store.MTLSReport) error {
	instance, now := instanceOf(rows), rows[0].ReportedAt
	if names, ok := r.known.Get(instance); ok && names == r.names(rows) {
		return nil
	}
	tooMany := &Error{
		Kind: KindRateLimited, Code: "rate_limited", RetryAfter: reportFull,
		Message: fmt.Sprintf("there are more than %d reports of this identity", maxReports),
	}
	if until, ok := r.full.Get(instance.spiffeID); ok && now.Before(until) {
		return tooMany
	}
	n, err := r.store.CountMTLSReports(ctx, instance.spiffeID, maxReports)
	if err != nil {
		return fmt.Errorf("count mTLS reports: %w", err)
	}
	if n >= maxReports {
		r.full.Add(instance.spiffeID, now.Add(reportFull))
		return tooMany
	}
	return nil
}

func (r *reporter) add(one *reports) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.stopped:
		return fmt.Errorf("write mTLS reports: %w", store.ErrUnavailable)
	case r.waiting+len(one.rows) > reportWaiting:
		return fmt.Errorf("write mTLS reports: %w", store.ErrOverloaded)
	}
	r.open, r.waiting = append(r.open, one), r.waiting+len(one.rows)
	select {
	case r.more <- struct{}{}:
	default:
	}
	return nil
}

// run writes until ctx ends, and then once more what is left: whoever waits for that is answered.
func (r *reporter) run(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-r.more:
			if pause(ctx, reportGather); ctx.Err() == nil {
				r.writeAll(ctx)
			}
		}
	}
	r.mu.Lock()
	r.stopped = true
	r.mu.Unlock()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), ackLast)
	defer cancel()
	r.writeAll(last)
}

// writeAll writes all that waits, and tells those who wait for it.
func (r *reporter) writeAll(ctx context.Context) {
	for {
		batch := r.take()
		if len(batch) == 0 {
			return
		}
		var rows []store.MTLSReport
		for _, one := range batch {
			rows = append(rows, one.rows...)
		}
		bounded, cancel := context.WithTimeout(ctx, reportTimeout)
		err := r.store.ReportMTLS(bounded, rows)
		cancel()
		if err != nil {
			r.log.WarnContext(ctx, "mTLS reports are not written", "count", len(rows), "error", err)
		}
		for _, one := range batch {
			if one.err = err; err == nil {
				r.known.Add(instanceOf(one.rows), r.names(one.rows))
			}
			close(one.done)
		}
	}
}

// take takes reports out of what waits, up to a batch.
func (r *reporter) take() []*reports {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, rows := 0, 0
	for n < len(r.open) && (n == 0 || rows+len(r.open[n].rows) <= reportBatch) {
		rows += len(r.open[n].rows)
		n++
	}
	batch := r.open[:n:n]
	r.open, r.waiting = slices.Clone(r.open[n:]), r.waiting-rows
	return batch
}
