package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/gdamore/tcell/v2"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

const (
	// topInterval is how often the server is asked: an answer costs it the reading of some audit rows.
	topInterval = 2 * time.Second
	// leastTopInterval keeps a typing mistake from being a load.
	leastTopInterval = time.Second
	// topTimeout bounds one ask: on a screen, a server that takes longer is away.
	topTimeout = 10 * time.Second
	// topAudits is how many audit rows are asked for, the most that the API gives: with so many, nothing
	// that happens between two looks is missed.
	topAudits = 50
)

// topOptions is how somebody wants to watch.
type topOptions struct {
	interval duration
	plain    bool
	once     bool
	output   *choice
}

func newTopCommand(io stdio) *cobra.Command {
	connection, o := &connectionFlags{}, &topOptions{interval: duration(topInterval)}
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch a deployment: rotation, fleet, incidents, latest changes",
		Long: `Watch a deployment on the terminal: how far the rotation has come and what it waits for, how fast
certificates are issued, who is overdue, incidents, how long each authority lives, the latest
changes. It takes the role viewer.

Keys: q quits, r asks now, arrows, PgUp, PgDn, Home and End scroll. NO_COLOR turns colours off. When
the server does not answer, the screen says how old it is, and goes on by itself.

Without a terminal, and with --plain, it writes a line for each change instead, for a log; with
-o json each answer as one line of JSON. --once shows what is the case now and ends.`,
		Example: `  pando top
  pando top --once
  pando top --plain --interval 10s >> pando.log
  pando top --once -o json | jq .profiles`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().Var(&o.interval, "interval", "ask the server this often, once a second at most")
	cmd.Flags().BoolVar(&o.plain, "plain", false, "write lines, also on a terminal")
	cmd.Flags().BoolVar(&o.once, "once", false, "show what is the case now and end")
	o.output = addOutput(cmd, formText, formJSON)
	connection.addAdministratorTo(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if time.Duration(o.interval) < leastTopInterval {
			return usageErrorf("--interval %s is below %s", o.interval, leastTopInterval)
		}
		return top(cmd.Context(), io, connection, o)
	}
	return cmd
}

// formText is for people, as far as the terminal lets it.
const formText = "text"

// top looks once, so that what is wrong with the command line or the credentials ends it with an
// error, and then goes on in the way that was asked for. A server that is away is waited for.
func top(ctx context.Context, io stdio, connection *connectionFlags, o *topOptions) error {
	source := &topSource{connection: connection, io: io}
	first, err := source.ask(ctx)
	if err != nil && (o.once || exitCode(err) != exitUnavailable) {
		return err
	}
	state := topState{server: source.server, every: time.Duration(o.interval)}
	if err != nil {
		state.fail(err)
	} else {
		state.take(first, time.Now())
	}
	answered := topAnswer{overview: first, err: err}
	file, terminal := terminalOf(io.out)
	switch {
	case o.output.value == formJSON:
		return followTop(ctx, o, source, topJSON{io}, answered)
	case o.plain:
		return followTop(ctx, o, source, &topLines{out: io.out}, answered)
	case o.once:
		return printTop(io.out, &state, file, time.Now())
	case terminal:
		screen, err := openScreen()
		if err == nil {
			return (&topScreen{screen: screen, state: state, ask: source.ask}).run(ctx)
		}
		fmt.Fprintf(io.err, "pando: this terminal cannot be drawn on (%v); lines follow\n", err)
	}
	return followTop(ctx, o, source, &topLines{out: io.out}, answered)
}

// openScreen takes the terminal over.
func openScreen() (tcell.Screen, error) {
	screen, err := tcell.NewScreen()
	if err != nil {
		return nil, err
	}
	if err := screen.Init(); err != nil {
		return nil, err
	}
	return screen, nil
}

// terminalOf is the terminal that out is; ok is false when it is none, or one that only types.
func terminalOf(out io.Writer) (file *os.File, ok bool) {
	file, ok = out.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return nil, false
	}
	kind := os.Getenv("TERM")
	return file, kind != "" && kind != "dumb"
}

// printTop writes the whole screen once, as wide as the terminal; as wide as it is without one.
func printTop(out io.Writer, s *topState, terminal *os.File, now time.Time) error {
	width := 0
	if terminal != nil {
		if columns, _, err := term.GetSize(int(terminal.Fd())); err == nil {
			width = columns
		}
	}
	title := strings.TrimSpace(topTitle(s, now).plain())
	for _, l := range append([]line{{{title, toneFrame}}, nil}, topBody(s, now)...) {
		if width > 0 {
			l = l.cut(0, width)
		}
		if _, err := fmt.Fprintln(out, l.plain()); err != nil {
			return err
		}
	}
	return nil
}

// topSink is where answers go that are not drawn.
type topSink interface {
	// take is told of an answer.
	take(o *overviewJSON, now time.Time) error
	// fail is told that there is none.
	fail(err error, now time.Time) error
}

// followTop hands each answer on, beginning with the first, until ctx ends.
func followTop(ctx context.Context, o *topOptions, source *topSource, to topSink, a topAnswer) error {
	ticker := time.NewTicker(time.Duration(o.interval))
	defer ticker.Stop()
	for ctx.Err() == nil {
		var err error
		if a.err != nil {
			err = to.fail(a.err, time.Now())
		} else {
			err = to.take(a.overview, time.Now())
		}
		if err != nil || o.once {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		a.overview, a.err = source.ask(ctx)
	}
	return nil
}

// topSource asks a server. It keeps its connection, and so the replica that answers, until an answer
// does not come; then it reads the credentials anew, which may have been renewed meanwhile.
type topSource struct {
	connection *connectionFlags
	io         stdio // where a certificate that ends soon is warned of, the first time
	client     *apiClient
	server     string
}

func (s *topSource) ask(ctx context.Context) (*overviewJSON, error) {
	ctx, cancel := context.WithTimeout(ctx, topTimeout)
	defer cancel()
	if s.client == nil {
		client, err := s.connection.dial(s.io, time.Now())
		if err != nil {
			return nil, err
		}
		s.io.err = io.Discard
		s.client, s.server = client, client.server.Redacted()
	}
	o, err := s.client.overview(ctx, topAudits)
	if err != nil {
		s.client.http.CloseIdleConnections()
		s.client = nil
		return nil, err
	}
	return o, nil
}
