package main

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/gdamore/tcell/v2"
)

// topScreen shows a deployment on a terminal. Everything but the asking happens in the goroutine of
// run.
type topScreen struct {
	screen tcell.Screen
	state  topState
	window topWindow
	ask    func(context.Context) (*overviewJSON, error)
}

// topAnswer is what became of an ask.
type topAnswer struct {
	overview *overviewJSON
	err      error
	panicked string // what it panicked with, and where; empty: it did not
}

// redrawPeriod keeps the clock and the ages on the screen going.
const redrawPeriod = time.Second

// run shows the screen until somebody quits or ctx ends. However it ends, also by a panic, the
// terminal is left as it was found.
func (t *topScreen) run(ctx context.Context) error {
	var working sync.WaitGroup
	defer working.Wait()
	asking, stop := context.WithCancel(ctx)
	defer stop()
	defer t.screen.Fini() // first of all: what follows may be the text of a panic

	events, wanted, answers := make(chan tcell.Event), make(chan struct{}, 1), make(chan topAnswer)
	working.Go(func() { t.screen.ChannelEvents(events, asking.Done()) })
	working.Go(func() { t.answer(asking, wanted, answers) })
	due, redraw := time.NewTicker(t.state.every), time.NewTicker(redrawPeriod)
	defer due.Stop()
	defer redraw.Stop()
	for {
		t.draw(time.Now())
		select {
		case <-ctx.Done():
			return nil
		case event := <-events:
			if event == nil { // the terminal is gone
				return nil
			}
			if err, quit := t.handle(event, wanted); quit {
				return err
			}
		case a := <-answers:
			t.take(a, time.Now())
		case <-due.C:
			want(wanted)
		case <-redraw.C:
		}
	}
}

// want asks for an answer, unless one is asked for already.
func want(wanted chan<- struct{}) {
	select {
	case wanted <- struct{}{}:
	default:
	}
}

// answer asks whenever that is wanted, until ctx ends. A panic is handed to whoever owns the terminal.
func (t *topScreen) answer(ctx context.Context, wanted <-chan struct{}, answers chan<- topAnswer) {
	once := func() (a topAnswer) {
		defer func() {
			if p := recover(); p != nil {
				a.panicked = fmt.Sprintf("%v\n%s", p, debug.Stack())
			}
		}()
		a.overview, a.err = t.ask(ctx)
		return a
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-wanted:
		}
		select {
		case <-ctx.Done():
			return
		case answers <- once():
		}
	}
}

func (t *topScreen) take(a topAnswer, now time.Time) {
	switch {
	case a.panicked != "":
		panic(a.panicked)
	case a.err != nil:
		t.state.fail(a.err)
	default:
		t.state.take(a.overview, now)
	}
}

// handle does what a key says, and reports whether to quit.
func (t *topScreen) handle(event tcell.Event, wanted chan<- struct{}) (err error, quit bool) {
	switch e := event.(type) {
	case *tcell.EventResize:
		t.screen.Sync()
	case *tcell.EventError:
		return fmt.Errorf("terminal: %w", e), true
	case *tcell.EventKey:
		switch {
		case e.Key() == tcell.KeyCtrlC, e.Key() == tcell.KeyEscape, e.Rune() == 'q':
			return nil, true
		case e.Key() == tcell.KeyCtrlL:
			t.screen.Sync()
		case e.Rune() == 'r':
			want(wanted)
		default:
			t.scroll(e)
		}
	}
	return nil, false
}

// columnStep is how far one key scrolls sideways.
const columnStep = 8

func (t *topScreen) scroll(e *tcell.EventKey) {
	w := &t.window
	page := max(1, w.height-frameLines)
	switch {
	case e.Key() == tcell.KeyUp, e.Rune() == 'k':
		w.down--
	case e.Key() == tcell.KeyDown, e.Rune() == 'j':
		w.down++
	case e.Key() == tcell.KeyPgUp:
		w.down -= page
	case e.Key() == tcell.KeyPgDn, e.Rune() == ' ':
		w.down += page
	case e.Key() == tcell.KeyHome:
		w.down, w.right = 0, 0
	case e.Key() == tcell.KeyEnd:
		w.down = len(topBody(&t.state, time.Now()))
	case e.Key() == tcell.KeyLeft, e.Rune() == 'h':
		w.right -= columnStep
	case e.Key() == tcell.KeyRight, e.Rune() == 'l':
		w.right += columnStep
	}
}

// draw shows what is known at now.
func (t *topScreen) draw(now time.Time) {
	t.window.width, t.window.height = t.screen.Size()
	if t.window.height > frameLines {
		t.window = t.window.within(topBody(&t.state, now))
	}
	t.screen.Clear()
	for y, l := range renderTop(&t.state, t.window, now) {
		x := 0
		for _, s := range l {
			t.screen.PutStrStyled(x, y, s.text, t.style(s.tone))
			x += line{s}.width()
		}
	}
	t.screen.Show()
}

// style is how a tone looks. A terminal without colours, or a user who wants none (NO_COLOR), loses
// nothing that is not in the words, too.
func (t *topScreen) style(of tone) tcell.Style {
	plain := tcell.StyleDefault
	colour := func(c tcell.Color) tcell.Style {
		if t.screen.Colors() == 0 {
			return plain
		}
		return plain.Foreground(c)
	}
	switch of {
	case toneFrame:
		return plain.Reverse(true)
	case toneHeading:
		return plain.Bold(true)
	case toneFaint:
		return plain.Dim(true)
	case toneGood:
		return colour(tcell.ColorGreen)
	case toneWarn:
		return colour(tcell.ColorOlive)
	case toneBad:
		return colour(tcell.ColorMaroon).Bold(true)
	}
	return plain
}
