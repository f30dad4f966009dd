package client

import (
	"context"
	"log/slog"
	"sync"
)

// EventKind is what happened to a [Source], as one of a closed set.
type EventKind string

// The kinds of events.
const (
	EventRenewed EventKind = "renewed" // there is a certificate, the first or another
	EventFailed  EventKind = "failed"  // a try to obtain one has failed
	EventTrust   EventKind = "trust"   // another trust bundle is in force, without a certificate that came with it
	EventRevoked EventKind = "revoked" // the own certificate, or its issuer, is revoked
)

// Event is something that happened to a [Source].
type Event struct {
	Kind   EventKind
	Status Status // right after it
	Err    error  // why a try failed; nil with the other kinds
}

// maxEvents is how many events wait for a program that is busy with one: more than there are
// failures in an hour.
const maxEvents = 100

// notifier tells the program of events, outside of every lock and off the way of renewal. A
// nil one tells nobody.
type notifier struct {
	tell func(Event)
	log  *slog.Logger
	more chan struct{} // holds one when there are events since run looked

	mu      sync.Mutex // guards what follows
	waiting []Event
}

func newNotifier(tell func(Event), log *slog.Logger) *notifier {
	return &notifier{tell: tell, log: log, more: make(chan struct{}, 1)}
}

// add has the program told of an event. It does not wait.
func (n *notifier) add(e Event) {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.waiting) == maxEvents {
		n.waiting = n.waiting[1:]
	}
	n.waiting = append(n.waiting, e)
	signal(n.more)
}

// changed has it told of what is different between two snapshots.
func (n *notifier) changed(cur, next *snapshot, st Status) {
	switch {
	case cur.leaf() != next.leaf():
		n.add(Event{Kind: EventRenewed, Status: st})
	case cur.trust != next.trust:
		n.add(Event{Kind: EventTrust, Status: st})
	}
	if cur.withdrawn == nil && next.withdrawn != nil {
		n.add(Event{Kind: EventRevoked, Status: st})
	}
}

// take returns the events that wait.
func (n *notifier) take() []Event {
	n.mu.Lock()
	defer n.mu.Unlock()
	waiting := n.waiting
	n.waiting = nil
	return waiting
}

// run tells of events until ctx ends, and of those of before.
func (n *notifier) run(ctx context.Context) {
	for {
		select {
		case <-n.more:
		case <-ctx.Done():
			n.drain()
			return
		}
		n.drain()
	}
}

func (n *notifier) drain() {
	for _, e := range n.take() {
		if err := shielded(func() { n.tell(e) }); err != nil {
			n.log.Error("hook failed", "hook", "Notify", "error", err)
		}
	}
}
