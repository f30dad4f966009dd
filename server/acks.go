package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/store"
)

// Acks keeps acknowledgements; see [store.Acks].
type Acks interface {
	Acknowledge(ctx context.Context, acks []store.Ack) error
}

const (
	// ackGather is how long acknowledgements are collected: a new bundle is acknowledged by
	// many within moments, and nothing waits for one of them.
	ackGather = 100 * time.Millisecond
	// ackBatch is the most that are written in one transaction.
	ackBatch = 1000
	// ackRetry is the wait after a failed write, and ackTimeout bounds each.
	ackRetry   = time.Second
	ackTimeout = 10 * time.Second
	// ackLast bounds what is left to write when the replica stops. The holders go to another
	// one and acknowledge there, so that this is worth little time.
	ackLast = 2 * time.Second
	// ackRemembered is how many certificates are known to have acknowledged something. One that
	// was pushed out is written again, which changes nothing.
	ackRemembered = 200_000
	// ackWaiting bounds what waits to be written while the database is away.
	ackWaiting = 200_000
)

// acker writes acknowledgements in batches, each once per certificate and sequence.
type acker struct {
	store Acks
	log   *slog.Logger
	more  chan struct{} // has something when waiting has grown

	mu      sync.Mutex
	known   *lru.Cache[ca.Serial, uint64] // written or waiting
	waiting map[ca.Serial]store.Ack
}

func newAcker(to Acks, log *slog.Logger) *acker {
	known, err := lru.New[ca.Serial, uint64](ackRemembered)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &acker{store: to, log: log, more: make(chan struct{}, 1), known: known, waiting: make(map[ca.Serial]store.Ack)}
}

// add notes an acknowledgement, to be written soon. It does not block. What finds no room is
// forgotten, and said again by the next poll.
func (a *acker) add(serial ca.Serial, sequence uint64, notAfter time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if known, ok := a.known.Get(serial); ok && known >= sequence {
		return
	}
	if _, replaces := a.waiting[serial]; !replaces && len(a.waiting) >= ackWaiting {
		return
	}
	a.known.Add(serial, sequence)
	a.waiting[serial] = store.Ack{Serial: store.Serial(serial), Sequence: sequence, NotAfter: notAfter}
	select {
	case a.more <- struct{}{}:
	default:
	}
}

// run writes until ctx ends, and then once more what is left.
func (a *acker) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), ackLast)
			defer cancel()
			a.writeAll(last)
			return
		case <-a.more:
		}
		pause(ctx, ackGather)
		for !a.writeAll(ctx) && ctx.Err() == nil {
			pause(ctx, ackRetry)
		}
	}
}

// writeAll writes all that waits, and reports whether that succeeded. What was not written
// goes on waiting.
func (a *acker) writeAll(ctx context.Context) bool {
	for {
		batch := a.take()
		if len(batch) == 0 {
			return true
		}
		bounded, cancel := context.WithTimeout(ctx, ackTimeout)
		err := a.store.Acknowledge(bounded, batch)
		cancel()
		if err != nil {
			a.putBack(batch)
			a.log.WarnContext(ctx, "acknowledgements are not written yet", "count", len(batch), "error", err)
			return false
		}
	}
}

func (a *acker) take() []store.Ack {
	a.mu.Lock()
	defer a.mu.Unlock()
	batch := make([]store.Ack, 0, min(len(a.waiting), ackBatch))
	for serial, ack := range a.waiting {
		if len(batch) == ackBatch {
			break
		}
		batch = append(batch, ack)
		delete(a.waiting, serial)
	}
	return batch
}

// putBack lets a batch wait again. A later acknowledgement of the same certificate stands.
func (a *acker) putBack(batch []store.Ack) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, ack := range batch {
		if _, later := a.waiting[ca.Serial(ack.Serial)]; !later {
			a.waiting[ca.Serial(ack.Serial)] = ack
		}
	}
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
