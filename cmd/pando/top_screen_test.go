package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gdamore/tcell/v2"
	"github.com/google/go-cmp/cmp"
)

// simulated is a terminal that remembers whether it was given back.
type simulated struct {
	tcell.SimulationScreen
	restored atomic.Bool
	shown    atomic.Value // string: what stands on it
}

func (s *simulated) Fini() {
	s.restored.Store(true)
	s.SimulationScreen.Fini()
}

// Show keeps what it shows, for another goroutine to read.
func (s *simulated) Show() {
	s.SimulationScreen.Show()
	cells, width, _ := s.GetContents()
	var b strings.Builder
	for i, c := range cells {
		b.WriteString(string(c.Runes))
		if i%width == width-1 {
			b.WriteString("\n")
		}
	}
	s.shown.Store(b.String())
}

// text is what stands on the terminal.
func (s *simulated) text() string { return s.shown.Load().(string) }

func newSimulated(t *testing.T) *simulated {
	t.Helper()
	s := &simulated{SimulationScreen: tcell.NewSimulationScreen("UTF-8")}
	if err := s.Init(); err != nil {
		t.Fatal(err)
	}
	s.SetSize(100, 30)
	return s
}

// TestTopScreenFollows: what a server does is seen, and a server that comes back is seen by itself.
func TestTopScreenFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		terminal := newSimulated(t)
		var away atomic.Bool
		var asked int
		screen := &topScreen{screen: terminal, state: topState{server: "https://s", every: topInterval}, ask: func(context.Context) (*overviewJSON, error) {
			asked++
			if away.Load() {
				return nil, errors.New("connection refused")
			}
			o := busyOverview()
			o.At = time.Now()
			o.Generation = uint64(asked)
			return o, nil
		}}
		done := make(chan error, 1)
		go func() { done <- screen.run(t.Context()) }()
		see := func(after time.Duration, want string) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if text := terminal.text(); !strings.Contains(text, want) {
				t.Errorf("%q is not on the screen:\n%s", want, text)
			}
		}
		see(0, "waiting for the first answer")
		see(2500*time.Millisecond, "generation 1 ")
		see(2*time.Second, "generation 2 ")
		terminal.InjectKey(tcell.KeyRune, 'r', 0)
		see(0, "generation 3 ")
		away.Store(true)
		see(10*time.Second, "what is shown is 9s old: connection refused")
		away.Store(false)
		see(2*time.Second, "up to date")
		terminal.InjectKey(tcell.KeyDown, 0, 0)
		see(0, "lines 2-28 of ")
		terminal.InjectKey(tcell.KeyHome, 0, 0)
		see(0, "lines 1-27 of ")
		terminal.InjectKey(tcell.KeyPgUp, 0, 0)
		see(0, "lines 1-27 of ")
		terminal.SetSize(30, 5)
		see(time.Second, "30x5 is too small: 40x8 is n")
		terminal.InjectKey(tcell.KeyRune, 'q', 0)
		if err := <-done; err != nil || !terminal.restored.Load() {
			t.Errorf("error %v, terminal restored: %t", err, terminal.restored.Load())
		}
	})
}

// TestTopScreenRestoresTheTerminal however it ends.
func TestTopScreenRestoresTheTerminal(t *testing.T) {
	for name, tt := range map[string]struct {
		end   func(*simulated, context.CancelFunc)
		ask   func(context.Context) (*overviewJSON, error)
		panic string
	}{
		"by a signal": {end: func(_ *simulated, stop context.CancelFunc) { stop() }},
		"by Ctrl-C":   {end: func(s *simulated, _ context.CancelFunc) { s.InjectKey(tcell.KeyCtrlC, 0, 0) }},
		"by a signal while the server says nothing": {
			end: func(_ *simulated, stop context.CancelFunc) { stop() },
			ask: func(ctx context.Context) (*overviewJSON, error) { <-ctx.Done(); return nil, ctx.Err() },
		},
		"by a panic":               {ask: func(context.Context) (*overviewJSON, error) { panic("a bug") }, panic: "a bug"},
		"by a panic while drawing": {ask: func(context.Context) (*overviewJSON, error) { return nil, nil }, panic: "nil pointer"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				terminal := newSimulated(t)
				screen := &topScreen{screen: terminal, state: watched(busyOverview()), ask: tt.ask}
				if screen.ask == nil {
					screen.ask = func(context.Context) (*overviewJSON, error) { return busyOverview(), nil }
				}
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				if tt.end != nil {
					go func() { time.Sleep(5 * time.Second); tt.end(terminal, stop) }()
				}
				panicked := ""
				func() {
					defer func() {
						if p := recover(); p != nil {
							panicked = panicText(p)
						}
					}()
					if err := screen.run(ctx); err != nil {
						t.Error(err)
					}
				}()
				if !terminal.restored.Load() || !strings.Contains(panicked, tt.panic) || (panicked != "") != (tt.panic != "") {
					t.Errorf("restored: %t, panic: %s", terminal.restored.Load(), panicked)
				}
			})
		})
	}
}

func panicText(p any) string {
	if err, ok := p.(error); ok {
		return err.Error()
	}
	text, _ := p.(string)
	return text
}

// TestTopLines: a log gets a line for each change, and none for what it knows.
func TestTopLines(t *testing.T) {
	var out bytes.Buffer
	l := &topLines{out: &out}
	take := func(change func(*overviewJSON)) {
		t.Helper()
		o := busyOverview()
		change(o)
		if err := l.take(o, topNoon.Add(30*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	take(func(*overviewJSON) {})
	take(func(*overviewJSON) {})
	for range 3 {
		if err := l.fail(errors.New("connection refused"), topNoon); err != nil {
			t.Fatal(err)
		}
	}
	take(func(o *overviewJSON) {
		o.Audit = append([]auditJSON{{Seq: 11, At: o.At, Actor: "x\ny", Action: "entry.delete"}, {Seq: 10, At: o.At, Actor: "\x1b[2J", Action: "job.run", Target: "prune"}}, o.Audit...)
	})
	take(func(o *overviewJSON) {
		o.Roles[0].Phase, o.Incidents, o.Overrides, o.Failing = "signing", nil, nil, nil
	})
	const state = "generation=12 bundle=7 issuer=5a1c0d2e3f405162 "
	const counts = " intermediate=replacing acknowledged=9812/10000 certificates=10188 issued_1m=341 live=9998 overdue=2 expired=1 revoked=3"
	want := []string{
		"2026-03-01T13:00:00Z state " + state + "root=spreading" + counts + " incident=GC7BVYMB36FPVJMS left=188/10000 incident=JBSWY3DPEHPK3PXP override=ovr_5kq2 failing=crls",
		`2026-03-01T12:00:00Z away error="connection refused"`,
		"2026-03-01T13:00:00Z back after=30s",
		`2026-03-01T13:00:00Z audit seq=10 action=job.run target=prune actor="\x1b[2J"`,
		`2026-03-01T13:00:00Z audit seq=11 action=entry.delete actor="x\ny"`,
		"2026-03-01T13:00:00Z state " + state + "root=signing" + counts,
	}
	if diff := cmp.Diff(want, strings.Split(strings.TrimSpace(out.String()), "\n")); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// TestTopTakesNoTerminalForOne: what is not a terminal is not drawn on.
func TestTopTakesNoTerminalForOne(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	defer writer.Close()
	for name, out := range map[string]io.Writer{"a pipe": writer, "a buffer": &bytes.Buffer{}} {
		if _, ok := terminalOf(out); ok {
			t.Errorf("%s is taken for a terminal", name)
		}
	}
}
