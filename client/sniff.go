package client

import (
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// sniffed is how much is read at once to see what a connection is. Two octets tell TLS
	// from plaintext; as many as here, whether that is HTTP.
	sniffed = 8

	// maxEmptyReads is how often a connection may say nothing at all and not wait either, as
	// in bufio.
	maxEmptyReads = 100

	// courtesy is how long it may take to explain that to somebody who is not let in, and
	// maxExplained how much is read of what else there is.
	courtesy     = time.Second
	maxExplained = 64 << 10
)

// ahead is the first octets of a connection, which are read again by whoever has it.
type ahead struct {
	left atomic.Bool // there is something in head
	mu   sync.Mutex  // guards head
	head []byte
}

// sniff reads the first octets of a connection and reports whether they begin a TLS record
// with a handshake (RFC 8446, section 5.1: type 22, version 3.x). If it is not such a type,
// one octet is enough. A connection that ends after that octet is an error, and no
// plaintext.
func (a *ahead) sniff(conn net.Conn) (isTLS bool, err error) {
	head := make([]byte, sniffed)
	have := 0
	for range maxEmptyReads {
		n, err := conn.Read(head[have:])
		have += n
		if have > 1 || have == 1 && head[0] != 0x16 {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.head = head[:have]
			a.left.Store(true)
			return head[0] == 0x16 && head[1] == 0x03, nil
		}
		if err != nil {
			return false, err
		}
	}
	return false, io.ErrNoProgress
}

// read reads what is left of the first octets.
func (a *ahead) read(b []byte) int {
	if !a.left.Load() {
		return 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	n := copy(b, a.head)
	a.head = a.head[n:]
	a.left.Store(len(a.head) > 0)
	return n
}

// drop forgets them: nothing is read from a connection that is closed.
func (a *ahead) drop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.head = nil
	a.left.Store(false)
}

// isHTTP reports whether the first octets begin a request of HTTP/1, so that an answer of
// that protocol is understood.
func (a *ahead) isHTTP() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, method := range []string{"GET /", "HEAD /", "POST /", "PUT /", "DELETE /", "PATCH /", "OPTIONS "} {
		if n := min(len(method), len(a.head)); n > 4 && strings.HasPrefix(method, string(a.head[:n])) {
			return true
		}
	}
	return false
}

// onlyMutual is what a strict listener answers to HTTP/1 in plaintext.
const onlyMutual = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n" +
	"This port takes mutual TLS only.\n"

// explain tells a client of HTTP/1 why it is not let in. It reads what the client still sends,
// or the reset of the connection would take the answer with it.
func (w *watched) explain() {
	_ = w.SetDeadline(time.Now().Add(courtesy))
	if _, err := io.WriteString(w.Conn, onlyMutual); err == nil && w.CloseWrite() == nil {
		_, _ = io.CopyN(io.Discard, w.Conn, maxExplained)
	}
}
