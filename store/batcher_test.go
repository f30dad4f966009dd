package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/pando-ca/pando/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// commitTime is how long a commit of the fake takes.
const commitTime = 10 * time.Millisecond

var errBroken = errors.New("connection broke")

// fakeStore is an Inserter whose commits take commitTime. It fails the test when more of them
// are in flight than are allowed, or a batch is too large or empty.
type fakeStore struct {
	t        *testing.T
	allowed  int
	maxBatch int

	mu       sync.Mutex
	inFlight int
	batches  []int // their sizes
	kept     map[*store.Issuance]bool
	// how commits fail, from now on
	before, after error // before or after the rows were kept: "it failed but it happened"
	short         bool  // one result too few
}

func newFakeStore(t *testing.T, allowed, maxBatch int) *fakeStore {
	return &fakeStore{t: t, allowed: allowed, maxBatch: maxBatch, kept: make(map[*store.Issuance]bool)}
}

func (f *fakeStore) InsertBatch(ctx context.Context, batch []*store.Issuance, _ time.Time) ([]error, error) {
	f.begin(len(batch))
	select {
	case <-time.After(commitTime):
	case <-ctx.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inFlight--
	if err := errors.Join(ctx.Err(), f.before); err != nil {
		return nil, err
	}
	errs := make([]error, len(batch))
	for at, i := range batch {
		if i.Caller == "revoked" {
			errs[at] = store.ErrCallerRevoked
			continue
		}
		f.kept[i] = true
	}
	if f.short {
		return errs[1:], nil
	}
	return errs, f.after
}

func (f *fakeStore) begin(size int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inFlight++
	f.batches = append(f.batches, size)
	if f.inFlight > f.allowed {
		f.t.Errorf("%d commits in flight, want at most %d", f.inFlight, f.allowed)
	}
	if size == 0 || size > f.maxBatch {
		f.t.Errorf("a batch of %d, want 1 to %d", size, f.maxBatch)
	}
}

// run runs f in a bubble of fake time, in front of a fake store. The Batcher is closed at its
// end.
func run(t *testing.T, cfg store.BatcherConfig, f func(*testing.T, *store.Batcher, *fakeStore)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		fake := newFakeStore(t, max(cfg.Commits, 1), 500)
		if cfg.MaxBatch > 0 {
			fake.maxBatch = cfg.MaxBatch
		}
		cfg.Inserter = fake
		b, err := store.NewBatcher(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		f(t, b, fake)
	})
}

func issuances(n int) []*store.Issuance {
	all := make([]*store.Issuance, n)
	for at := range all {
		all[at] = &store.Issuance{Record: store.Record{RequestID: fmt.Sprint(at)}}
	}
	return all
}

func wantBatches(t *testing.T, f *fakeStore, want ...int) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if diff := cmp.Diff(want, f.batches); diff != "" {
		t.Errorf("batches (-want +got):\n%s", diff)
	}
}

func TestALoneIssuanceWaitsForNobody(t *testing.T) {
	run(t, store.BatcherConfig{}, func(t *testing.T, b *store.Batcher, f *fakeStore) {
		for range 3 {
			began := time.Now()
			if err := b.Insert(t.Context(), issuances(1)[0], began); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took != commitTime {
				t.Errorf("took %v, want %v", took, commitTime)
			}
		}
		wantBatches(t, f, 1, 1, 1)
	})
}

func TestABatchFormsWhileACommitIsInFlight(t *testing.T) {
	run(t, store.BatcherConfig{MaxBatch: 40}, func(t *testing.T, b *store.Batcher, f *fakeStore) {
		began := time.Now()
		var wait sync.WaitGroup
		for n, i := range issuances(101) {
			wait.Go(func() {
				if err := b.Insert(t.Context(), i, began); err != nil {
					t.Error(err)
				}
			})
			if n == 0 {
				synctest.Wait() // the first is in flight
			}
		}
		wait.Wait()
		if took := time.Since(began); took != 4*commitTime {
			t.Errorf("took %v, want %v", took, 4*commitTime)
		}
		wantBatches(t, f, 1, 40, 40, 20)
	})
}

func TestTwoCommitsMayBeInFlight(t *testing.T) {
	run(t, store.BatcherConfig{Commits: 2}, func(t *testing.T, b *store.Batcher, f *fakeStore) {
		began := time.Now()
		var wait sync.WaitGroup
		for _, i := range issuances(10) {
			wait.Go(func() {
				if err := b.Insert(t.Context(), i, began); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		wait.Wait()
		if took := time.Since(began); took != 2*commitTime {
			t.Errorf("took %v, want %v", took, 2*commitTime)
		}
		wantBatches(t, f, 1, 1, 8)
	})
}

func TestInsertAllReturnsEachResultInItsPlace(t *testing.T) {
	run(t, store.BatcherConfig{MaxBatch: 7}, func(t *testing.T, b *store.Batcher, f *fakeStore) {
		all := issuances(20)
		all[3].Caller, all[13].Caller = "revoked", "revoked"
		errs := b.InsertAll(t.Context(), all, time.Now())
		for at, err := range errs {
			var want error
			if at == 3 || at == 13 {
				want = store.ErrCallerRevoked
			}
			if !errors.Is(err, want) {
				t.Errorf("%d: error %v, want %v", at, err, want)
			}
			if f.kept[all[at]] != (want == nil) {
				t.Errorf("%d: kept %t", at, f.kept[all[at]])
			}
		}
		wantBatches(t, f, 7, 7, 6)
		if got := b.InsertAll(t.Context(), nil, time.Now()); len(got) != 0 {
			t.Errorf("InsertAll of nothing: %v", got)
		}
	})
}

func TestABatchThatFailsFailsAllInIt(t *testing.T) {
	for name, spoil := range map[string]func(*fakeStore){
		"before the commit":     func(f *fakeStore) { f.before = errBroken },
		"after it has happened": func(f *fakeStore) { f.after = errBroken },
		"with a result missing": func(f *fakeStore) { f.short = true },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, store.BatcherConfig{}, func(t *testing.T, b *store.Batcher, f *fakeStore) {
				spoil(f)
				for _, err := range b.InsertAll(t.Context(), issuances(3), time.Now()) {
					if err == nil || f.short == errors.Is(err, errBroken) {
						t.Errorf("error %v", err)
					}
				}
				f.before, f.after, f.short = nil, nil, false
				if err := b.Insert(t.Context(), issuances(1)[0], time.Now()); err != nil {
					t.Errorf("the next one: %v", err)
				}
			})
		})
	}
}

func TestACallerThatLeavesGetsAnErrorAndFailsNobody(t *testing.T) {
	run(t, store.BatcherConfig{}, func(t *testing.T, b *store.Batcher, f *fakeStore) {
		all := issuances(2)
		ctx, cancel := context.WithTimeout(t.Context(), commitTime/2)
		defer cancel()
		var wait sync.WaitGroup
		wait.Go(func() {
			began := time.Now()
			if err := b.Insert(ctx, all[0], began); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v, want %v", err, context.DeadlineExceeded)
			}
			if took := time.Since(began); took != commitTime/2 {
				t.Errorf("took %v, want %v", took, commitTime/2)
			}
		})
		wait.Go(func() {
			if err := b.Insert(t.Context(), all[1], time.Now()); err != nil {
				t.Error(err)
			}
		})
		wait.Wait()
		b.Close()
		if !f.kept[all[0]] || !f.kept[all[1]] {
			t.Error("an issuance was dropped")
		}

		late := issuances(2)
		for at, err := range append(b.InsertAll(ctx, late, time.Now()), b.Insert(ctx, late[0], time.Now())) {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%d: error %v, want %v", at, err, context.DeadlineExceeded)
			}
		}
	})
}

// counter counts what an observer is told.
type counter struct {
	mu                      sync.Mutex
	committed, failed, shed int
	took                    time.Duration
}

func (c *counter) Committed(size int, took time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.committed += size
	c.took = took
	if err != nil {
		c.failed++
	}
}

func (c *counter) Shed(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shed += n
}

func TestTooManyAreShed(t *testing.T) {
	c := new(counter)
	run(t, store.BatcherConfig{MaxWaiting: 5, MaxBatch: 5, Observer: c}, func(t *testing.T, b *store.Batcher, f *fakeStore) {
		var wait sync.WaitGroup
		for range 6 { // one in flight, five waiting
			wait.Go(func() {
				if err := b.Insert(t.Context(), issuances(1)[0], time.Now()); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		began := time.Now()
		if err := b.Insert(t.Context(), issuances(1)[0], began); !errors.Is(err, store.ErrOverloaded) {
			t.Errorf("error %v, want %v", err, store.ErrOverloaded)
		}
		for _, err := range b.InsertAll(t.Context(), issuances(3), began) {
			if !errors.Is(err, store.ErrOverloaded) {
				t.Errorf("error %v, want %v", err, store.ErrOverloaded)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("refused after %v, want at once", took)
		}
		wait.Wait()
		// More than the bound at once are taken when nobody waits.
		if err := errors.Join(b.InsertAll(t.Context(), issuances(12), time.Now())...); err != nil {
			t.Errorf("a large request alone: %v", err)
		}
		f.before = errBroken
		if err := b.Insert(t.Context(), issuances(1)[0], time.Now()); !errors.Is(err, errBroken) {
			t.Errorf("error %v, want %v", err, errBroken)
		}
	})
	if c.committed != 6+12+1 || c.shed != 4 || c.failed != 1 || c.took != commitTime {
		t.Errorf("observed %d committed, %d shed, %d failed, the last in %v", c.committed, c.shed, c.failed, c.took)
	}
}

func TestACommitThatHangsIsGivenUp(t *testing.T) {
	run(t, store.BatcherConfig{Timeout: commitTime / 2}, func(t *testing.T, b *store.Batcher, f *fakeStore) {
		if err := b.Insert(t.Context(), issuances(1)[0], time.Now()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want %v", err, context.DeadlineExceeded)
		}
	})
}

func TestCloseCommitsWhatWaits(t *testing.T) {
	run(t, store.BatcherConfig{}, func(t *testing.T, b *store.Batcher, f *fakeStore) {
		var wait sync.WaitGroup
		for range 5 {
			wait.Go(func() {
				if err := b.Insert(t.Context(), issuances(1)[0], time.Now()); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		began := time.Now()
		b.Close()
		if took := time.Since(began); took != 2*commitTime {
			t.Errorf("Close took %v, want %v", took, 2*commitTime)
		}
		wantBatches(t, f, 1, 4)
		wait.Wait()
		if err := b.Insert(t.Context(), issuances(1)[0], time.Now()); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("after Close: error %v, want %v", err, store.ErrUnavailable)
		}
		b.Close()
	})
}

func TestNewBatcherRefusesNonsense(t *testing.T) {
	for name, cfg := range map[string]store.BatcherConfig{
		"no inserter":      {},
		"a negative limit": {Inserter: newFakeStore(t, 1, 1), MaxBatch: -1},
	} {
		if _, err := store.NewBatcher(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
