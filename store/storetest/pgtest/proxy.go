package pgtest

import (
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/pando-ca/pando/internal/pgserver"
)

// Proxy stands between a store and its database, and breaks what a network breaks.
type Proxy struct {
	listener net.Listener
	socket   string
	wait     sync.WaitGroup

	mu    sync.Mutex
	mode  proxyMode
	conns map[net.Conn]bool // both ends of each connection
}

type proxyMode int

const (
	modePass proxyMode = iota
	modeRefuse
	modeDropAnswers
)

// NewProxy starts a proxy in front of a server. It ends with the test.
func NewProxy(t testing.TB, server *pgserver.Server) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: listener, socket: server.SocketPath(), conns: make(map[net.Conn]bool)}
	p.wait.Go(p.accept)
	t.Cleanup(func() {
		listener.Close()
		p.Refuse()
		p.wait.Wait()
	})
	return p
}

// URL is the connection string of a database through the proxy.
func (p *Proxy) URL(database string) string {
	return "postgres://postgres@" + p.listener.Addr().String() + "/" + url.PathEscape(database) + "?sslmode=disable"
}

// Pass lets everything through, as at the start.
func (p *Proxy) Pass() { p.set(modePass) }

// Refuse breaks the connections that are open, and each new one.
func (p *Proxy) Refuse() {
	p.set(modeRefuse)
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		conn.Close()
	}
}

// DropAnswers lets the server receive what it is sent, and breaks a connection when the
// server answers: what was asked has happened, and nobody is told.
func (p *Proxy) DropAnswers() { p.set(modeDropAnswers) }

func (p *Proxy) set(m proxyMode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = m
}

func (p *Proxy) is(m proxyMode) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mode == m
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // the test has ended
		}
		server, err := net.Dial("unix", p.socket)
		if err != nil || p.is(modeRefuse) {
			client.Close()
			if err == nil {
				server.Close()
			}
			continue
		}
		p.mu.Lock()
		p.conns[client], p.conns[server] = true, true
		p.mu.Unlock()
		p.wait.Go(func() { p.carry(server, client, false) })
		p.wait.Go(func() { p.carry(client, server, true) })
	}
}

// carry copies from one end to the other until either is closed.
func (p *Proxy) carry(to, from net.Conn, answers bool) {
	defer p.forget(to, from)
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if answers && n > 0 && p.is(modeDropAnswers) {
			return
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *Proxy) forget(ends ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, end := range ends {
		end.Close()
		delete(p.conns, end)
	}
}
