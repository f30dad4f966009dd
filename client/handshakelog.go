package client

import (
	"net"
	"sync"
	"time"
)

// maxHandshakes is how many failures are kept: what happened in the last minutes, in about
// 30 kB, however many there are.
const maxHandshakes = 50

// failedHandshake is one for the debug handler.
type failedHandshake struct {
	At     time.Time `json:"at"`
	Side   string    `json:"side"`             // "server" or "client": which side this was
	Remote string    `json:"remote,omitempty"` // address; empty where it is not known
	Reason Reason    `json:"reason"`
	Error  string    `json:"error"` // cut
}

// handshakeLog keeps the last handshakes that failed. Its zero value is ready, and it is safe
// for concurrent use.
type handshakeLog struct {
	mu   sync.Mutex
	ring [maxHandshakes]failedHandshake
	n    uint64 // how many there were in all
}

// failed notes a handshake that failed at now. remote may be nil.
func (l *handshakeLog) failed(now time.Time, side string, remote net.Addr, err error) {
	f := failedHandshake{At: now.Round(0), Side: side, Reason: ReasonOf(err, now), Error: printable(err.Error())}
	if remote != nil {
		f.Remote = printable(remote.String())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ring[l.n%maxHandshakes] = f
	l.n++
}

// recent returns the last ones, the newest first, and how many there were in all.
func (l *handshakeLog) recent() (failures []failedHandshake, total uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range min(l.n, maxHandshakes) {
		failures = append(failures, l.ring[(l.n-1-i)%maxHandshakes])
	}
	return failures, l.n
}
