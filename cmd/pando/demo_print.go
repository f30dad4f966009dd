package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// demoPrinter writes the lines of a demo, one at a time. It is safe for concurrent use.
type demoPrinter struct {
	mu    sync.Mutex
	out   io.Writer
	start time.Time
}

func newDemoPrinter(out io.Writer) *demoPrinter { return &demoPrinter{out: out, start: time.Now()} }

// event prints one line: the time since the start, who, and what.
func (p *demoPrinter) event(who, format string, args ...any) {
	line := strings.TrimSpace(fmt.Sprintf(format, args...))
	_ = p.locked(func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%6.1fs  %-8s  %s\n", time.Since(p.start).Seconds(), who, line)
		return err
	})
}

// locked gives write the output for itself.
func (p *demoPrinter) locked(write func(io.Writer) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return write(p.out)
}

// logWriter takes the server's log, a line for each Write.
func (p *demoPrinter) logWriter() io.Writer { return demoLog{p} }

type demoLog struct{ printer *demoPrinter }

func (l demoLog) Write(line []byte) (int, error) {
	l.printer.event("server", "%s", line)
	return len(line), nil
}

// summary prints what happened, and is an error if anything failed or nothing was shown.
func (p *demoPrinter) summary(pair *demoPair) error {
	p.event("summary", "%s", pair)
	if n := pair.failed.Load(); n > 0 {
		return fmt.Errorf("%d requests or handshakes failed", n)
	}
	if pair.requests.Load() == 0 {
		return errors.New("no request was answered")
	}
	return nil
}
