package clienttest

import (
	"net"
	"sync"
)

// gate stands before the listener of the CA, and can be shut.
type gate struct {
	net.Listener

	mu   sync.Mutex
	down bool
	open map[*gated]bool
}

// gated is a connection through a gate.
type gated struct {
	net.Conn
	gate *gate
}

func newGate(inner net.Listener) *gate {
	return &gate{Listener: inner, open: make(map[*gated]bool)}
}

// Accept implements [net.Listener].
func (g *gate) Accept() (net.Conn, error) {
	for {
		inner, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if conn := g.enter(inner); conn != nil {
			return conn, nil
		}
		inner.Close()
	}
}

// enter lets a connection in, or returns nil.
func (g *gate) enter(inner net.Conn) *gated {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.down {
		return nil
	}
	conn := &gated{inner, g}
	g.open[conn] = true
	return conn
}

// Close implements [net.Conn].
func (c *gated) Close() error {
	c.gate.mu.Lock()
	delete(c.gate.open, c)
	c.gate.mu.Unlock()
	return c.Conn.Close()
}

// shut shuts the gate and cuts what is open, below TLS; or opens it.
func (g *gate) shut(down bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.down = down; !down {
		return
	}
	for conn := range g.open {
		conn.Conn.Close()
	}
}
