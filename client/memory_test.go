package client

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// memory is a network inside the process, so that a fake clock governs it.
type memory struct {
	mu        sync.Mutex
	listeners map[string]*memoryListener
	dials     []string
	dialled   []time.Time
}

func newMemory() *memory { return &memory{listeners: make(map[string]*memoryListener)} }

func (m *memory) listen(address string) net.Listener {
	l := &memoryListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.listeners[address] = l
	return l
}

// addresses returns what was dialled so far, and times when.
func (m *memory) addresses() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.dials...)
}

func (m *memory) times() []time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]time.Time(nil), m.dialled...)
}

// DialContext is for Config.DialContext.
func (m *memory) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	m.mu.Lock()
	l := m.listeners[address]
	m.dials = append(m.dials, address)
	m.dialled = append(m.dialled, time.Now())
	m.mu.Unlock()
	refusedErr := fmt.Errorf("dial %s: connection refused", address)
	if l == nil {
		return nil, refusedErr
	}
	here, there := net.Pipe()
	select {
	case l.conns <- there:
		return here, nil
	case <-l.closed:
		return nil, refusedErr
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type memoryListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *memoryListener) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }
