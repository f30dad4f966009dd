package server_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
)

// press is what lists are read from. It counts how often it is asked.
type press struct {
	mu    sync.Mutex
	lists map[string]store.CRL // by authority/shard
	err   error
	took  time.Duration // by each question

	asked, read atomic.Int64
}

func (p *press) print(authority string, shard int, number uint64, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lists == nil {
		p.lists = make(map[string]store.CRL)
	}
	key := fmt.Sprintf("%s/%d", authority, shard)
	p.lists[key] = store.CRL{
		Authority: authority, Shard: shard, Number: number, NextUpdate: now.Add(time.Hour), DER: fmt.Appendf(nil, "%s#%d", key, number),
	}
}

func (p *press) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

func (p *press) find(ctx context.Context, authority string, shard int) (*store.CRL, error) {
	time.Sleep(p.took)
	p.mu.Lock()
	defer p.mu.Unlock()
	list, ok := p.lists[fmt.Sprintf("%s/%d", authority, shard)]
	switch {
	case p.err != nil || ctx.Err() != nil:
		return nil, errors.Join(p.err, ctx.Err())
	case !ok:
		return nil, store.ErrNotFound
	}
	return &list, nil
}

func (p *press) CRL(ctx context.Context, authority string, shard int) (*store.CRL, error) {
	p.read.Add(1)
	return p.find(ctx, authority, shard)
}

func (p *press) CRLNumber(ctx context.Context, authority string, shard int) (uint64, error) {
	p.asked.Add(1)
	list, err := p.find(ctx, authority, shard)
	if err != nil {
		return 0, err
	}
	return list.Number, nil
}

// withCRLs is a service that reads lists from p; its issuer has three shards.
func withCRLs(t *testing.T, p *press) (service *server.Service, issuer string) {
	t.Helper()
	pki := catest.New(t, catest.Options{CRLShards: 3})
	f := newFixture(t, func(c *server.Config) { c.Set, c.CRLs = pki.Set(), p })
	return f.Service, pki.Set().Issuer().ID()
}

func wantList(t *testing.T, s *server.Service, authority string, shard int, want string) {
	t.Helper()
	list, err := s.CRL(t.Context(), authority, shard)
	if err != nil || string(list.DER) != fmt.Sprintf("%s/%d#%s", authority, shard, want) {
		t.Errorf("shard %d: %+v, %v; want number %s", shard, list, err, want)
	}
}

func TestCRLFollowsTheDatabase(t *testing.T) {
	p := new(press)
	synctest.Test(t, func(t *testing.T) {
		service, issuer := withCRLs(t, p)
		p.print(issuer, 1, 7, time.Now())
		wantList(t, service, issuer, 1, "7")
		p.print(issuer, 1, 8, time.Now())
		time.Sleep(time.Second - 1)
		wantList(t, service, issuer, 1, "7")
		time.Sleep(time.Nanosecond)
		wantList(t, service, issuer, 1, "8")
		for range 10 {
			time.Sleep(time.Second)
			wantList(t, service, issuer, 1, "8")
		}
		if p.read.Load() != 2 || p.asked.Load() != 11 {
			t.Errorf("two lists were read %d times, and their number %d times", p.read.Load(), p.asked.Load())
		}
	})
}

// TestCRLIsReadOnceForAll asks from many sides at once, while the database is slow.
func TestCRLIsReadOnceForAll(t *testing.T) {
	p := &press{took: 500 * time.Millisecond}
	synctest.Test(t, func(t *testing.T) {
		service, issuer := withCRLs(t, p)
		p.print(issuer, 0, 1, time.Now())
		impatient, leave := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer leave()
		var wait sync.WaitGroup
		wait.Go(func() { _, _ = service.CRL(impatient, issuer, 0) }) // its question is that of all
		time.Sleep(time.Millisecond)
		for range 100 {
			wait.Go(func() { wantList(t, service, issuer, 0, "1") })
		}
		wait.Go(func() {
			if _, err := service.CRL(impatient, issuer, 0); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("who cannot wait is told %v", err)
			}
		})
		wait.Wait()
		if p.read.Load() != 1 {
			t.Errorf("the list was read %d times", p.read.Load())
		}
	})
}

// TestCRLOutlivesTheDatabase serves what is in memory while the database is away, and no longer than the
// list is good.
func TestCRLOutlivesTheDatabase(t *testing.T) {
	p := new(press)
	synctest.Test(t, func(t *testing.T) {
		service, issuer := withCRLs(t, p)
		p.print(issuer, 0, 1, time.Now())
		wantList(t, service, issuer, 0, "1")
		p.fail(store.ErrUnavailable)
		time.Sleep(time.Hour - 1)
		wantList(t, service, issuer, 0, "1")
		time.Sleep(2 * time.Second)
		for shard := range 2 { // one that was there, and one that was not
			if _, err := service.CRL(t.Context(), issuer, shard); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("shard %d of a database that is away: %v", shard, err)
			}
		}
		p.fail(nil)
		p.print(issuer, 0, 2, time.Now())
		time.Sleep(time.Second)
		wantList(t, service, issuer, 0, "2")
	})
}

func TestCRLThatIsNotThere(t *testing.T) {
	p := new(press)
	service, issuer := withCRLs(t, p)
	root := service.Set().Authorities()[0].ID()
	p.print(issuer, 3, 1, time.Now())
	p.print("0000000000000000", 0, 1, time.Now())
	for name, ask := range map[string]struct {
		authority string
		shard     int
	}{
		"a shard beyond the last":      {issuer, 3},
		"a negative shard":             {issuer, -1},
		"the second shard of a root":   {root, 1},
		"an authority that is not":     {"0000000000000000", 0},
		"no authority":                 {"", 0},
		"one that is not there yet":    {issuer, 0},
		"the root's, not there either": {root, 0},
	} {
		_, err := service.CRL(t.Context(), ask.authority, ask.shard)
		if known := server.AsError(err); known.Kind != server.KindNotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	if p.read.Load() != 2 {
		t.Errorf("the database was asked %d times; strangers must not make it work", p.read.Load())
	}
}

// TestCRLStaysOverGenerations: a new generation makes nobody read a list again.
func TestCRLStaysOverGenerations(t *testing.T) {
	p := new(press)
	pki := catest.New(t, catest.Options{CRLShards: 2})
	f := newFixture(t, func(c *server.Config) { c.Set, c.CRLs = pki.Set(), p })
	issuer := pki.Set().Issuer().ID()
	p.print(issuer, 1, 1, time.Now())
	wantList(t, f.Service, issuer, 1, "1")
	rotating := pki.Prepare(t).Activate(t)
	if err := f.Adopt(rotating.Set(), time.Now()); err != nil {
		t.Fatal(err)
	}
	wantList(t, f.Service, issuer, 1, "1")
	if p.read.Load() != 1 {
		t.Errorf("the list was read %d times", p.read.Load())
	}
	p.print(rotating.Set().Issuer().ID(), 1, 1, time.Now())
	wantList(t, f.Service, rotating.Set().Issuer().ID(), 1, "1")
}
