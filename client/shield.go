package client

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"strings"
)

// shielded calls a function of the program, and returns its panic as an error. It would end
// the program from a goroutine of the Source, where nobody else can recover: a slip in what
// fetches a token must not take down servers whose certificates are good for hours.
func shielded(f func()) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic at %s: %s", whereabouts(), printable(fmt.Sprint(r)))
		}
	}()
	f()
	return nil
}

// whereabouts is the file and line that panicked. Its caller is the deferred function.
func whereabouts() string {
	pcs := make([]uintptr, 16)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	for {
		frame, more := frames.Next()
		if !strings.HasPrefix(frame.Function, "runtime.") {
			return fmt.Sprintf("%s:%d", frame.File, frame.Line)
		}
		if !more {
			return "an unknown place"
		}
	}
}

// shieldedMetrics are Metrics whose panics are logged.
type shieldedMetrics struct {
	metrics Metrics
	log     *slog.Logger
}

func (m shieldedMetrics) Renewal(err error)       { m.shield(func() { m.metrics.Renewal(err) }) }
func (m shieldedMetrics) Handshake(h Handshake)   { m.shield(func() { m.metrics.Handshake(h) }) }
func (m shieldedMetrics) Connection(c Connection) { m.shield(func() { m.metrics.Connection(c) }) }

func (m shieldedMetrics) shield(tell func()) {
	if err := shielded(tell); err != nil {
		m.log.Error("hook failed", "hook", "Metrics", "error", err)
	}
}

// allows asks an Authorizer. One that panics has refused: a name that it did not expect must
// not end the program, from whichever goroutine the handshake is made in.
func (s *Source) allows(authorize Authorizer, peer Peer) (err error) {
	if panicked := shielded(func() { err = authorize(peer) }); panicked != nil {
		s.log.Error("hook failed", "hook", "Authorize", "peer", peer.ID, "error", panicked)
		return panicked
	}
	return err
}

// shieldedDial is a dialFunc whose panic is an error.
func shieldedDial(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		if panicked := shielded(func() { conn, err = dial(ctx, network, address) }); panicked != nil {
			return nil, fmt.Errorf("dial: %w", panicked)
		}
		return conn, err
	}
}
