package server_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
)

// commit makes the PKI's set the store's generation.
func (f *fixture) commit(t *testing.T, pki *catest.CA) {
	t.Helper()
	cfg := pki.SetConfig()
	gen := store.Generation{
		Number: cfg.Generation, TrustDomain: cfg.TrustDomain.String(), Sequence: cfg.Sequence,
		PublishedAt: time.Now(), WindowKey: []byte("sealed"),
	}
	for _, a := range cfg.Authorities {
		gen.Authorities = append(gen.Authorities, store.Authority{
			ID: a.ID, Role: string(a.Role), State: string(a.State), ParentID: a.ParentID, Certificate: a.Certificate,
			Key: []byte("sealed"), StateSince: time.Now(), CrossParentID: a.CrossParentID, CrossCertificate: a.CrossCertificate,
			Sequence: 1,
		})
	}
	audit := store.Audit{At: time.Now(), Actor: "test", Action: "generation.replace", Target: "test"}
	if err := f.store.ReplaceGeneration(t.Context(), gen.Number-1, gen, store.Fence{}, audit); err != nil {
		t.Fatal(err)
	}
}

// openers opens the generations that it knows.
type openers struct {
	mu     sync.Mutex
	sets   map[uint64]*ca.Set
	health []string // what was reported, without repetitions
}

func newOpeners(all ...*catest.CA) *openers {
	o := &openers{sets: make(map[uint64]*ca.Set)}
	o.know(all...)
	return o
}

func (o *openers) know(all ...*catest.CA) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, pki := range all {
		o.sets[pki.Set().Generation()] = pki.Set()
	}
}

func (o *openers) open(gen *store.Generation) (*ca.Set, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if set := o.sets[gen.Number]; set != nil {
		return set, nil
	}
	return nil, errors.New("the seal key does not open it")
}

func (o *openers) report(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := "good"
	if err != nil {
		text = err.Error()
	}
	if len(o.health) == 0 || o.health[len(o.health)-1] != text {
		o.health = append(o.health, text)
	}
}

func (o *openers) reported() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.health...)
}

// follow follows until the returned function is called, or the test ends.
func (f *fixture) follow(t *testing.T, generations server.Generations, o *openers) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- f.Follow(ctx, server.FollowConfig{Store: generations, Revocations: f.store, Open: o.open, Health: o.report})
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// untold is a store that never tells of a change.
type untold struct {
	server.Generations
	err error // what watching fails with; nil: it waits in vain
}

func (u untold) Watch(ctx context.Context, _ func()) error {
	if u.err == nil {
		<-ctx.Done()
	}
	return u.err
}

// TestEveryReplicaFollows: two services on one store, of which one is told of changes and the
// other is not, adopt a generation within a second and wake who waits there.
func TestEveryReplicaFollows(t *testing.T) {
	for name, wrap := range map[string]func(server.Generations) server.Generations{
		"that is told":                  func(g server.Generations) server.Generations { return g },
		"that is told nothing":          func(g server.Generations) server.Generations { return untold{Generations: g} },
		"whose connection breaks often": func(g server.Generations) server.Generations { return untold{g, store.ErrUnavailable} },
	} {
		t.Run("one "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t)
				other := f.replica(t)
				prepared := f.pki.Prepare(t)
				o := newOpeners(f.pki, prepared)
				f.commit(t, f.pki)
				f.follow(t, f.store, o)
				other.follow(t, wrap(f.store), o)
				synctest.Wait()
				time.Sleep(500 * time.Millisecond)
				here := f.poll(t.Context(), administrator(policy.RoleViewer), 1, server.MaxTrustWait)
				there := other.poll(t.Context(), administrator(policy.RoleViewer), 1, server.MaxTrustWait)
				synctest.Wait()
				committed := time.Now()
				f.commit(t, prepared)
				for _, answer := range []polled{<-here, <-there} {
					if answer.err != nil || answer.Bundle.Sequence != 2 {
						t.Errorf("the answer is %+v, %v", answer.Bundle, answer.err)
					}
					if took := answer.at.Sub(committed); took > time.Second {
						t.Errorf("it came after %s", took)
					}
				}
			})
		})
	}
}

// TestAGenerationThatCannotBeOpenedIsReported: the last good one stays in use until the reason
// is gone.
func TestAGenerationThatCannotBeOpenedIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		o := newOpeners(f.pki)
		f.commit(t, f.pki)
		f.follow(t, f.store, o)
		time.Sleep(5 * time.Second)
		prepared := f.pki.Prepare(t)
		f.commit(t, prepared)
		time.Sleep(5 * time.Second)
		if got := f.Set().Generation(); got != 1 {
			t.Errorf("generation %d is in use", got)
		}
		f.issue(t, administrator(policy.RoleAdmin), request(t, workload)) // whose issuer is still the same
		o.know(prepared)
		time.Sleep(2 * time.Second)
		if got := f.Set().Generation(); got != 2 {
			t.Errorf("generation %d is in use after the reason is gone", got)
		}
		want := []string{"good", "generation 2 cannot be used: the seal key does not open it", "good"}
		if diff := cmp.Diff(want, o.reported()); diff != "" {
			t.Errorf("reported (-want +got):\n%s", diff)
		}
	})
}

// silent is a store that answers the first looks not at all.
type silent struct {
	server.Generations
	left *atomic.Int32 // looks that are not answered
}

func (s silent) GenerationNumber(ctx context.Context) (uint64, error) {
	if s.left.Add(-1) >= 0 {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	return s.Generations.GenerationNumber(ctx)
}

// TestASilentDatabaseIsAskedAgain: a look that is never answered is not the last one.
func TestASilentDatabaseIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		prepared := f.pki.Prepare(t)
		f.commit(t, f.pki)
		f.commit(t, prepared)
		var left atomic.Int32
		left.Store(2)
		f.follow(t, silent{untold{Generations: f.store}, &left}, newOpeners(prepared))
		time.Sleep(9 * time.Second)
		if got := f.Set().Generation(); got != 1 {
			t.Errorf("generation %d is in use before the database answers", got)
		}
		time.Sleep(5 * time.Second)
		if got := f.Set().Generation(); got != 2 {
			t.Errorf("generation %d is in use after the database answers", got)
		}
	})
}

func TestFollowingNeedsAStoreAndAnOpener(t *testing.T) {
	f := newFixture(t)
	if err := f.Follow(t.Context(), server.FollowConfig{Store: f.store, Revocations: f.store}); err == nil {
		t.Error("it follows without a way to open generations")
	}
	if err := f.Follow(t.Context(), server.FollowConfig{Revocations: f.store, Open: newOpeners().open}); err == nil {
		t.Error("it follows without a store")
	}
}

// behind is a store whose changes a replica has not heard of yet.
type behind struct{ untold }

func (behind) GenerationNumber(context.Context) (uint64, error) { return 1, nil }

// stale is a service that is one generation behind its store: its issuer is retiring.
func stale(t *testing.T) (f *fixture, current *catest.CA) {
	t.Helper()
	f = newFixture(t)
	prepared := f.pki.Prepare(t)
	current = prepared.Activate(t)
	for _, pki := range []*catest.CA{f.pki, prepared, current} {
		f.commit(t, pki)
	}
	return f, current
}

func TestAStaleReplicaSignsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, current := stale(t)
		f.follow(t, behind{untold{Generations: f.store}}, newOpeners(current))
		synctest.Wait()
		issued := f.issue(t, f.enrol(t), request(t)) // the refusal leaves the join token unspent
		if want := current.Set().Issuer().ID(); issued.Issuer != want || issued.Bundle.Sequence != 2 {
			t.Errorf("signed by %s with sequence %d, want %s", issued.Issuer, issued.Bundle.Sequence, want)
		}
		if n := f.records(t, workload); n != 1 {
			t.Errorf("%d records", n)
		}
		if chain := parseChain(t, issued.Chain); len(chain) != 3 {
			t.Errorf("the chain has %d certificates, want the cross-certificate in it", len(chain))
		}
	})
}

func TestAStaleReplicaSignsABatchAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, current := stale(t)
		f.follow(t, behind{untold{Generations: f.store}}, newOpeners(current))
		synctest.Wait()
		batch := []server.Request{request(t, workload), {CSR: []byte("x")}, request(t, workload)}
		results, err := f.IssueBatch(t.Context(), administrator(policy.RoleOperator), batch)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []string{"", "invalid_csr", ""} {
			if got := code(results[i].Err); got != want || (results[i].Issued == nil) != (want != "") {
				t.Errorf("result %d is %+v", i, results[i])
			}
		}
		if first := results[0].Issued; first != nil && first.Issuer != current.Set().Issuer().ID() {
			t.Errorf("signed by %s", first.Issuer)
		}
		if n := f.records(t, workload); n != 2 {
			t.Errorf("%d records", n)
		}
	})
}

// TestAReplicaThatCannotCatchUpRefuses: nothing is written, and the caller is to try again.
func TestAReplicaThatCannotCatchUpRefuses(t *testing.T) {
	for name, following := range map[string]bool{"one that does not follow": false, "one that cannot open it": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, _ := stale(t)
				if following {
					f.follow(t, behind{untold{Generations: f.store}}, newOpeners())
					synctest.Wait()
				}
				caller := f.enrol(t)
				_, err := f.Issue(t.Context(), caller, request(t))
				if code(err) != "unavailable" || server.AsError(err).RetryAfter <= 0 || !errors.Is(err, store.ErrIssuerInactive) {
					t.Errorf("it answers %v", err)
				}
				results, err := f.IssueBatch(t.Context(), administrator(policy.RoleOperator), []server.Request{request(t, workload)})
				if err != nil || code(results[0].Err) != "unavailable" {
					t.Errorf("a batch gives %+v, %v", results, err)
				}
				if n := f.records(t, workload); n != 0 {
					t.Errorf("%d records", n)
				}
			})
		})
	}
}
