package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// commitTimeout bounds one commit. It is far above what a healthy database needs, and below
// the deadline that callers give a request, so that a database that hangs is reported as one.
const commitTimeout = 10 * time.Second

// BatcherConfig configures a [Batcher].
type BatcherConfig struct {
	Inserter Inserter // required

	// MaxBatch is the largest number of issuances in one commit. 0 means 500.
	MaxBatch int
	// Commits is how many commits may be in flight at once. 0 means 1, which is right for
	// SQLite. On Postgres a second one makes smaller batches, which cost the server a quarter
	// more for each row; it pays only where a commit waits long for the disk or a standby.
	Commits int
	// MaxWaiting is how many issuances may wait for a commit to begin; those above it are
	// refused with ErrOverloaded. 0 means 10 000.
	MaxWaiting int
	// Timeout bounds one commit. 0 means 10 seconds.
	Timeout time.Duration

	Observer BatchObserver // optional
}

// BatchObserver is told what a [Batcher] does. Its methods are called by many goroutines and
// must not block.
type BatchObserver interface {
	// Committed is called after each commit: how many issuances it held, how long it took,
	// and its error as a whole.
	Committed(size int, took time.Duration, err error)
	// Shed is called when n issuances are refused because too many wait.
	Shed(n int)
}

// Batcher groups issuances that arrive at the same time into one commit each. A batch forms
// while another one is in flight: a lone issuance is committed at once and alone, and the
// busier the store, the larger the batches.
type Batcher struct {
	cfg     BatcherConfig
	commits sync.WaitGroup // goroutines that commit

	mu      sync.Mutex
	active  int     // goroutines that commit; at most cfg.Commits
	waiting []*pool // oldest first; only the last one takes more
	queued  int     // issuances in waiting
	closed  bool
}

// pool is the issuances that share a commit. Whoever adds one keeps its index; errs is valid
// once done is closed.
type pool struct {
	items []*Issuance
	now   time.Time    // the latest that a caller gave
	spans []trace.Span // of callers who are traced
	done  chan struct{}
	errs  []error // one for each item
}

// NewBatcher returns a Batcher in front of cfg.Inserter. Its owner calls Close.
func NewBatcher(cfg BatcherConfig) (*Batcher, error) {
	if cfg.Inserter == nil {
		return nil, errors.New("batcher: no inserter")
	}
	if cfg.MaxBatch < 0 || cfg.Commits < 0 || cfg.MaxWaiting < 0 || cfg.Timeout < 0 {
		return nil, errors.New("batcher: negative limit")
	}
	if cfg.MaxBatch == 0 {
		cfg.MaxBatch = 500
	}
	if cfg.Commits == 0 {
		cfg.Commits = 1
	}
	if cfg.MaxWaiting == 0 {
		cfg.MaxWaiting = 10_000
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = commitTimeout
	}
	if cfg.Observer == nil {
		cfg.Observer = unobserved{}
	}
	return &Batcher{cfg: cfg}, nil
}

// Insert returns nil once the issuance is durable. Any error means that nothing which depends
// on it may leave the process: a refusal (see [Inserter]), ErrOverloaded, or an error of the
// commit, after which the row may exist. When ctx ends first, its error is returned, and the
// row may exist too.
func (b *Batcher) Insert(ctx context.Context, i *Issuance, now time.Time) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("insert: %w", err)
	}
	places, err := b.enqueue(ctx, []*Issuance{i}, now)
	if err != nil {
		return err
	}
	p := places[0]
	select {
	case <-p.pool.done:
		return p.pool.errs[p.first]
	case <-ctx.Done():
		return fmt.Errorf("wait for commit: %w", ctx.Err())
	}
}

// InsertAll does for each issuance what Insert does for one, in as few commits as it can, and
// returns one error for each. When too many wait, all of them are refused.
func (b *Batcher) InsertAll(ctx context.Context, all []*Issuance, now time.Time) []error {
	errs := make([]error, len(all))
	if err := ctx.Err(); err != nil {
		return fill(errs, fmt.Errorf("insert: %w", err))
	}
	places, err := b.enqueue(ctx, all, now)
	if err != nil {
		return fill(errs, err)
	}
	rest := errs
	for _, p := range places {
		select {
		case <-p.pool.done:
			copy(rest[:p.count], p.pool.errs[p.first:])
		case <-ctx.Done():
			fill(rest[:p.count], fmt.Errorf("wait for commit: %w", ctx.Err()))
		}
		rest = rest[p.count:]
	}
	return errs
}

// Close refuses issuances that arrive from now on, commits those that wait, and returns when
// the last commit has ended. It may be called more than once.
func (b *Batcher) Close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.commits.Wait()
}

// place is where the issuances of one caller are in a pool.
type place struct {
	pool         *pool
	first, count int
}

// enqueue puts the issuances into pools, and starts a commit if one more is allowed.
func (b *Batcher) enqueue(ctx context.Context, all []*Issuance, now time.Time) ([]place, error) {
	span := trace.SpanFromContext(ctx)
	traced := span.IsRecording()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, fmt.Errorf("batcher is closed: %w", ErrUnavailable)
	}
	// A lone InsertAll may be larger than the queue: it waits for nobody but itself.
	if b.queued > 0 && b.queued+len(all) > b.cfg.MaxWaiting {
		b.cfg.Observer.Shed(len(all))
		return nil, ErrOverloaded
	}

	places := make([]place, 0, 1+len(all)/b.cfg.MaxBatch)
	for len(all) > 0 {
		p := b.open()
		n := min(len(all), b.cfg.MaxBatch-len(p.items))
		places = append(places, place{p, len(p.items), n})
		p.items = append(p.items, all[:n]...)
		if now.After(p.now) {
			p.now = now
		}
		if traced {
			p.spans = append(p.spans, span)
		}
		b.queued += n
		all = all[n:]
	}
	for b.active < b.cfg.Commits && len(b.waiting) > 0 {
		b.active++
		p := b.next()
		b.commits.Go(func() { b.work(p) })
	}
	return places, nil
}

// open returns the pool that takes more issuances. The caller holds mu.
func (b *Batcher) open() *pool {
	if n := len(b.waiting); n > 0 && len(b.waiting[n-1].items) < b.cfg.MaxBatch {
		return b.waiting[n-1]
	}
	p := &pool{done: make(chan struct{})}
	b.waiting = append(b.waiting, p)
	return p
}

// next takes the oldest pool, or nil. The caller holds mu.
func (b *Batcher) next() *pool {
	if len(b.waiting) == 0 {
		return nil
	}
	p := b.waiting[0]
	b.waiting[0] = nil
	b.waiting = b.waiting[1:]
	b.queued -= len(p.items)
	return p
}

// work commits p and then what has formed meanwhile, until nothing waits.
func (b *Batcher) work(p *pool) {
	for p != nil {
		b.commit(p)
		b.mu.Lock()
		p = b.next()
		if p == nil {
			b.active--
		}
		b.mu.Unlock()
	}
}

// commit writes one pool and tells those who wait for it. It does not take the context of a
// caller: one that leaves must not fail the others.
func (b *Batcher) commit(p *pool) {
	ctx, cancel := context.WithTimeout(context.Background(), b.cfg.Timeout)
	defer cancel()
	ctx, span := p.beginSpan(ctx)

	began := time.Now()
	errs, err := b.cfg.Inserter.InsertBatch(ctx, p.items, p.now)
	if err == nil && len(errs) != len(p.items) {
		err = fmt.Errorf("%d results for %d issuances", len(errs), len(p.items))
	}
	if err != nil {
		errs = fill(make([]error, len(p.items)), fmt.Errorf("insert batch: %w", err))
	}
	b.cfg.Observer.Committed(len(p.items), time.Since(began), err)
	endSpan(span, err)
	p.errs = errs
	close(p.done)
}

// fill sets each of errs to err.
func fill(errs []error, err error) []error {
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// unobserved is the observer of a Batcher that has none.
type unobserved struct{}

func (unobserved) Committed(int, time.Duration, error) {}
func (unobserved) Shed(int)                            {}
