package clienttest

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// maxBuffered is how much one side may send before the other reads: about what the kernel keeps
// for a connection, so that what would block there blocks here.
const maxBuffered = 64 << 10

// pipe is one direction of a connection in memory: a buffer with a writer and a reader. Who waits
// for the other waits in a sync.Cond, which a bubble of testing/synctest takes for idle.
type pipe struct {
	mu      sync.Mutex
	changed *sync.Cond // of mu
	buffer  []byte
	ended   bool // the writer has closed; what is in the buffer can still be read
	gone    bool // the reader has closed
	reader  deadline
	writer  deadline
}

func newPipe() *pipe {
	p := new(pipe)
	p.changed = sync.NewCond(&p.mu)
	return p
}

func (p *pipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.gone:
			return 0, net.ErrClosed
		case p.reader.passed:
			return 0, os.ErrDeadlineExceeded
		case len(p.buffer) > 0:
			n := copy(b, p.buffer)
			p.buffer = p.buffer[n:]
			p.changed.Broadcast()
			return n, nil
		case p.ended:
			return 0, io.EOF
		case len(b) == 0:
			return 0, nil
		}
		p.changed.Wait()
	}
}

func (p *pipe) write(b []byte) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.ended:
			return n, net.ErrClosed
		case p.writer.passed:
			return n, os.ErrDeadlineExceeded
		case p.gone:
			return n, syscall.EPIPE
		case len(b) == 0:
			return n, nil
		}
		room := min(maxBuffered-len(p.buffer), len(b))
		if room == 0 {
			p.changed.Wait()
			continue
		}
		p.buffer = append(p.buffer, b[:room]...)
		n, b = n+room, b[room:]
		p.changed.Broadcast()
	}
}

// close ends the side of the reader or that of the writer.
func (p *pipe) close(side *bool, d *deadline) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*side = true
	d.stop()
	if p.gone {
		p.buffer = nil
	}
	p.changed.Broadcast()
}

// deadline is until when one side of a pipe may wait; the pipe's mutex guards it.
type deadline struct {
	timer  *time.Timer
	passed bool
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
	d.timer = nil
}

// set moves a deadline of p; zero is never.
func (p *pipe) set(d *deadline, t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d.stop()
	left := time.Until(t)
	d.passed = !t.IsZero() && left <= 0
	if !t.IsZero() && left > 0 {
		var timer *time.Timer
		timer = time.AfterFunc(left, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			if d.timer == timer { // not moved meanwhile
				d.passed = true
				p.changed.Broadcast()
			}
		})
		d.timer = timer
	}
	p.changed.Broadcast()
}

// conn is one end of a connection in memory.
type conn struct {
	in, out       *pipe
	local, remote address
}

var _ net.Conn = (*conn)(nil)

// newConns returns both ends of a connection between two addresses.
func newConns(from, to address) (here, there *conn) {
	a, b := newPipe(), newPipe()
	return &conn{in: a, out: b, local: from, remote: to}, &conn{in: b, out: a, local: to, remote: from}
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.in.read(b)
	return n, c.failed("read", err)
}

func (c *conn) Write(b []byte) (int, error) {
	n, err := c.out.write(b)
	return n, c.failed("write", err)
}

// failed gives an error the form that those of a TCP connection have.
func (c *conn) failed(op string, err error) error {
	if err == nil || err == io.EOF { //nolint:errorlint // io.EOF is returned as it is (io.Reader)
		return err
	}
	return &net.OpError{Op: op, Net: c.local.Network(), Source: c.local, Addr: c.remote, Err: err}
}

// Close closes this end. What was written can still be read at the other.
func (c *conn) Close() error {
	c.in.close(&c.in.gone, &c.in.reader)
	c.out.close(&c.out.ended, &c.out.writer)
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) SetReadDeadline(t time.Time) error {
	c.in.set(&c.in.reader, t)
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.out.set(&c.out.writer, t)
	return nil
}

func (c *conn) SetDeadline(t time.Time) error {
	c.in.set(&c.in.reader, t)
	c.out.set(&c.out.writer, t)
	return nil
}

// address is a name in a network in memory.
type address string

func (a address) Network() string { return "memory" }
func (a address) String() string  { return string(a) }
