package client

import (
	"container/list"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// greetTimeout is how long a peer may take to say what it is and to finish its handshake.
	// Both take a few round trips; over the worst of links, seconds.
	greetTimeout = 10 * time.Second

	// maxGreeted is how many connections of a listener are at that at once. Each costs a
	// goroutine. At the bound the one that is at it for longest gives way: whoever holds
	// connections open without a word then loses them, while an honest peer needs
	// milliseconds.
	maxGreeted = 1024

	// maxReady is how many connections wait for Accept after their handshakes. At the bound
	// no more are taken from the listener underneath, whose backlog is bounded too.
	maxReady = 128
)

// Why a connection is not let in.
var (
	errTooSlow     = fmt.Errorf("no handshake within %s: %w", greetTimeout, os.ErrDeadlineExceeded)
	errOverload    = fmt.Errorf("the slowest of more than %d handshakes", maxGreeted)
	errOnlyTLS     = errors.New("plaintext, where mutual TLS is wanted")
	errOnlyPlain   = errors.New("TLS, where plaintext is wanted")
	errNotAccepted = fmt.Errorf("pando client: not accepted before the listener was closed: %w", net.ErrClosed)
)

// acceptor takes connections from the listener underneath, each into a goroutine that
// makes the handshake, and hands out those for which it succeeded.
type acceptor struct {
	ready  chan net.Conn // after their handshakes
	failed chan error    // of the listener underneath, for whoever calls Accept
	room   chan struct{} // holds one when ready has been taken from since the loop looked
	closed chan struct{} // by Close
	ended  chan struct{} // when the listener underneath was closed by somebody else
	group  sync.WaitGroup

	mu      sync.Mutex // guards what follows
	running bool
	done    bool      // Close was called
	greeted list.List // of *watched, the oldest first
}

func newAcceptor() *acceptor {
	return &acceptor{
		ready: make(chan net.Conn, maxReady), failed: make(chan error), room: make(chan struct{}, 1),
		closed: make(chan struct{}), ended: make(chan struct{}),
	}
}

// Accept returns the next connection that is let in, after its handshake: a *tls.Conn, or,
// if the mode allows plaintext, a connection that is not. A peer that is slow, or fails, keeps
// nobody waiting and is never returned; [Config.Metrics] is told of it. Errors are those of
// the listener underneath. Errors of the connection that wrap [ErrRevoked] say that
// it was closed because its peer was revoked.
func (l *Listener) Accept() (net.Conn, error) {
	a := l.acceptor
	a.mu.Lock()
	if !a.running && !a.done {
		a.running = true
		a.group.Go(l.accept)
	}
	a.mu.Unlock()
	select {
	case <-a.closed:
		return nil, net.ErrClosed
	default:
	}
	select {
	case conn := <-a.ready:
		signal(a.room)
		return conn, nil
	case err := <-a.failed:
		return nil, err
	case <-a.ended:
	case <-a.closed:
	}
	return nil, net.ErrClosed
}

// Addr returns the address of the listener underneath.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// Close closes the listener underneath, the connections that Accept has not returned, and
// waits for their goroutines. Those that it has returned stay open.
func (l *Listener) Close() error {
	a := l.acceptor
	a.mu.Lock()
	if !a.done {
		a.done = true
		close(a.closed)
	}
	var greeted []*watched
	for e := a.greeted.Front(); e != nil; e = e.Next() {
		greeted = append(greeted, e.Value.(*watched)) // nothing else is in it
	}
	a.mu.Unlock()
	err := l.inner.Close()
	for _, w := range greeted {
		w.shut(errNotAccepted)
	}
	a.group.Wait()
	for {
		select {
		case conn := <-a.ready:
			underneath(conn).shut(errNotAccepted)
			continue
		default:
		}
		l.source.shutDown(l)
		return err
	}
}

// accept takes connections until the listener is closed. An error goes to whoever calls
// Accept, and only then is the next connection asked for: net/http, say, pauses after a
// temporary one.
func (l *Listener) accept() {
	a := l.acceptor
	for a.waitForRoom() {
		raw, err := l.inner.Accept()
		switch {
		case err == nil:
			a.group.Go(func() { l.offer(raw) })
			continue
		case errors.Is(err, net.ErrClosed):
			close(a.ended)
			return
		}
		select {
		case a.failed <- err:
		case <-a.closed:
			return
		}
	}
}

// waitForRoom waits until Accept is not too far behind; false if the listener is closed.
func (a *acceptor) waitForRoom() bool {
	for len(a.ready) == cap(a.ready) {
		select {
		case <-a.room:
		case <-a.closed:
			return false
		}
	}
	return true
}

// offer makes the handshake of a connection, and keeps it for Accept.
func (l *Listener) offer(raw net.Conn) {
	conn, err := l.Handshake(raw)
	if err != nil {
		return // it is counted, and closed
	}
	select {
	case l.acceptor.ready <- conn:
	case <-l.acceptor.closed:
		underneath(conn).shut(errNotAccepted)
	}
}

// enter takes a connection in that has yet to say what it is. leave ends that, and reports
// whether it was not shut meanwhile.
func (a *acceptor) enter(w *watched) (leave func() bool) {
	timer := time.AfterFunc(greetTimeout, func() { w.shut(errTooSlow) })
	a.mu.Lock()
	var slowest *watched
	if a.greeted.Len() >= maxGreeted {
		slowest = a.greeted.Remove(a.greeted.Front()).(*watched) // nothing else is in it
	}
	e := a.greeted.PushBack(w)
	done := a.done
	a.mu.Unlock()
	if slowest != nil {
		slowest.shut(errOverload)
	}
	if done {
		w.shut(errNotAccepted)
	}
	return func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		before := a.greeted.Len()
		a.greeted.Remove(e)
		return timer.Stop() && a.greeted.Len() < before && !a.done
	}
}
