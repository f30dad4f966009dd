package clienttest

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"syscall"
)

// backlog is how many connections may wait to be accepted: as many as Linux once kept by default.
const backlog = 128

// Network is a network inside the process. Connections are buffered as those of the kernel are,
// and keep to deadlines; whoever waits for one is durably blocked in the sense of
// testing/synctest, so that the clock of a bubble goes on. It is safe for concurrent use, and
// within a bubble it belongs to that bubble.
type Network struct {
	mu        sync.Mutex
	listeners map[string]*listener
	dials     int
}

// NewNetwork returns a network with nothing in it.
func NewNetwork() *Network { return &Network{listeners: make(map[string]*listener)} }

// Listen listens at an address, any text such as "web.test:443". It fails while somebody else
// listens there.
func (n *Network) Listen(at string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners[at] != nil {
		return nil, &net.OpError{Op: "listen", Net: "memory", Addr: address(at), Err: syscall.EADDRINUSE}
	}
	l := &listener{network: n, at: address(at), queue: make(chan *conn, backlog), closed: make(chan struct{})}
	n.listeners[at] = l
	return l, nil
}

// DialContext connects to whoever listens at an address, whatever the network is called. It has
// the shape that [client.Config], [client.DialerConfig] and [net/http.Transport] want, never
// waits, and fails at once where nobody listens.
func (n *Network) DialContext(ctx context.Context, _, at string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("dial %s: %w", at, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if l := n.listeners[at]; l != nil {
		n.dials++
		here, there := newConns(address("caller.memory:"+strconv.Itoa(n.dials)), l.at)
		select {
		case l.queue <- there:
			return here, nil
		default: // nobody accepts
		}
	}
	return nil, &net.OpError{Op: "dial", Net: "memory", Addr: address(at), Err: syscall.ECONNREFUSED}
}

// listener accepts connections at one address of a network.
type listener struct {
	network *Network
	at      address
	queue   chan *conn // sent to under the network's mutex
	closed  chan struct{}
}

var _ net.Listener = (*listener)(nil)

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: "memory", Addr: l.at, Err: net.ErrClosed}
	}
}

// Close frees the address and cuts the connections that were not accepted.
func (l *listener) Close() error {
	l.network.mu.Lock()
	defer l.network.mu.Unlock()
	if l.network.listeners[string(l.at)] != l {
		return nil // closed before
	}
	delete(l.network.listeners, string(l.at))
	close(l.closed)
	for {
		select {
		case c := <-l.queue:
			c.Close()
		default:
			return nil
		}
	}
}

func (l *listener) Addr() net.Addr { return l.at }
