package server_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
)

// ledger keeps acknowledgements in the order in which they were written.
type ledger struct {
	mu      sync.Mutex
	fail    bool
	written []store.Ack
	tries   int
}

func (l *ledger) Acknowledge(ctx context.Context, acks []store.Ack) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil { // as a database would
		return err
	}
	l.tries++
	if l.fail {
		return store.ErrUnavailable
	}
	l.written = append(l.written, acks...)
	return nil
}

func (l *ledger) setFail(fail bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail = fail
}

// sequences is what was written for a caller's certificate.
func (l *ledger) sequences(caller policy.Caller) []uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []uint64
	for _, ack := range l.written {
		if ca.Serial(ack.Serial) == caller.Serial {
			all = append(all, ack.Sequence)
		}
	}
	return all
}

func (l *ledger) count() (written, tries int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.written), l.tries
}

// newLedger is a running service that acknowledges in a ledger. stop ends it.
func newLedger(t *testing.T) (f *fixture, l *ledger, stop func()) {
	t.Helper()
	l = &ledger{}
	f = newFixture(t, func(cfg *server.Config) { cfg.Acks = l })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return f, l, stop
}

// ask polls without waiting.
func (f *fixture) ask(t *testing.T, caller policy.Caller, after uint64) {
	t.Helper()
	if _, err := f.Trust(t.Context(), caller, server.Known{Bundle: after}, 0); err != nil {
		t.Fatal(err)
	}
}

func TestAnAcknowledgementIsWrittenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, l, stop := newLedger(t)
		issued := f.issue(t, f.enrol(t), request(t))
		caller := f.peer(t, issued)
		for range 50 {
			f.ask(t, caller, 1)
			time.Sleep(time.Second)
		}
		f.adopt(t, f.pki.Prepare(t).Set())
		for range 50 {
			f.ask(t, caller, 1) // has not seen the new one yet
			f.ask(t, caller, 2)
			time.Sleep(time.Second)
		}
		stop()
		if diff := cmp.Diff([]uint64{1, 2}, l.sequences(caller)); diff != "" {
			t.Errorf("sequences written (-want +got):\n%s", diff)
		}
		if written, tries := l.count(); written != 2 || tries != 2 || !l.written[0].NotAfter.Equal(issued.NotAfter) {
			t.Errorf("%d were written in %d tries, the first until %s", written, tries, l.written[0].NotAfter)
		}
	})
}

func TestManyAcknowledgementsAreOneWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, l, stop := newLedger(t)
		for range 20 {
			f.ask(t, f.peer(t, f.issue(t, administrator(policy.RoleAdmin), request(t, workload))), 1)
		}
		stop()
		if written, tries := l.count(); written != 20 || tries > 2 {
			t.Errorf("%d were written in %d tries", written, tries)
		}
	})
}

// TestNobodyAcknowledgesTheFuture: neither by mistake nor on purpose can a holder say that it
// has a bundle that this replica has not seen.
func TestNobodyAcknowledgesTheFuture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, l, stop := newLedger(t)
		caller := f.peer(t, f.issue(t, f.enrol(t), request(t)))
		f.ask(t, caller, 1<<63)
		// This one waits while the replica catches up with what it has got elsewhere.
		waiting := f.poll(t.Context(), caller, 2, 20*time.Second)
		time.Sleep(time.Second)
		if diff := cmp.Diff([]uint64{1}, l.sequences(caller)); diff != "" {
			t.Errorf("sequences written before (-want +got):\n%s", diff)
		}
		f.adopt(t, f.pki.Prepare(t).Set())
		time.Sleep(time.Second)
		if diff := cmp.Diff([]uint64{1, 2}, l.sequences(caller)); diff != "" {
			t.Errorf("sequences written after (-want +got):\n%s", diff)
		}
		<-waiting
		stop()
	})
}

// TestOnlyHoldersAcknowledge: a poll with another credential, or before there is a bundle, says
// nothing of any certificate.
func TestOnlyHoldersAcknowledge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, l, stop := newLedger(t)
		f.ask(t, f.enrol(t), 1)
		f.ask(t, administrator(policy.RoleAdmin), 1)
		f.ask(t, f.peer(t, f.issue(t, f.enrol(t), request(t))), 0)
		stranger := f.peer(t, f.issue(t, f.enrol(t), request(t)))
		stranger.Serial[5] ^= 1 // a certificate without a record
		f.ask(t, stranger, 1)
		stop()
		if written, tries := l.count(); written != 0 || tries != 0 {
			t.Errorf("%d were written in %d tries", written, tries)
		}
	})
}

// TestNoAcknowledgementIsLost: while the database is away they wait, the highest of each
// certificate stands, and a replica that stops writes what is left.
func TestNoAcknowledgementIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, l, stop := newLedger(t)
		operator := administrator(policy.RoleAdmin)
		one, two := f.peer(t, f.issue(t, operator, request(t, workload))), f.peer(t, f.issue(t, operator, request(t, workload)))
		l.setFail(true)
		f.ask(t, one, 1)
		f.ask(t, two, 1)
		time.Sleep(10 * time.Second)
		f.adopt(t, f.pki.Prepare(t).Set())
		f.ask(t, one, 2)
		time.Sleep(10 * time.Second)
		if written, tries := l.count(); written != 0 || tries < 10 {
			t.Fatalf("%d were written in %d tries", written, tries)
		}
		l.setFail(false)
		time.Sleep(2 * time.Second)
		if diff := cmp.Diff([][]uint64{{2}, {1}}, [][]uint64{l.sequences(one), l.sequences(two)}); diff != "" {
			t.Errorf("sequences written (-want +got):\n%s", diff)
		}
		f.ask(t, two, 2)
		stop() // at once
		if diff := cmp.Diff([]uint64{1, 2}, l.sequences(two)); diff != "" {
			t.Errorf("sequences written by a replica that stops (-want +got):\n%s", diff)
		}
	})
}

// brokenRecords cannot be read.
type brokenRecords struct{ records }

type records = store.Records // the interface has a method of its own name

func (brokenRecords) Record(context.Context, store.Serial) (*store.Record, error) {
	return nil, errors.New("connection reset")
}

// TestTheBundleDoesNotDependOnTheDatabase: without it there is neither a window nor an
// acknowledgement, but there is the bundle.
func TestTheBundleDoesNotDependOnTheDatabase(t *testing.T) {
	f := newFixture(t)
	caller := f.peer(t, f.issue(t, f.enrol(t), request(t)))
	replica := f.replica(t, func(cfg *server.Config) { cfg.Records = brokenRecords{} })
	update, err := replica.Trust(t.Context(), caller, server.Known{}, 0)
	if err != nil || update.Bundle.Sequence != 1 || !update.Renewal.Start.IsZero() {
		t.Errorf("the answer is %+v, %v", update, err)
	}
}
