package client

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// tally is a Metrics that remembers everything.
type tally struct {
	mu          sync.Mutex
	renewals    []error
	handshakes  []Handshake
	connections []Connection
}

var _ Metrics = (*tally)(nil)

func (y *tally) Renewal(err error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.renewals = append(y.renewals, err)
}

func (y *tally) Handshake(h Handshake) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.handshakes = append(y.handshakes, h)
}

func (y *tally) Connection(c Connection) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.connections = append(y.connections, c)
}

// reasons returns how the handshakes of a side ended.
func (y *tally) reasons(side Side) (reasons []Reason) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, h := range y.handshakes {
		if h.Side == side {
			reasons = append(reasons, h.Reason)
		}
	}
	return reasons
}

// seen returns the connections so far.
func (y *tally) seen() []Connection {
	y.mu.Lock()
	defer y.mu.Unlock()
	return append([]Connection(nil), y.connections...)
}

// take returns the connections so far, and forgets them.
func (y *tally) take() []Connection {
	y.mu.Lock()
	defer y.mu.Unlock()
	taken := y.connections
	y.connections = nil
	return taken
}

// tries are Metrics of what is tried to obtain certificates alone.
type tries func(err error)

func (f tries) Renewal(err error)   { f(err) }
func (tries) Handshake(Handshake)   {}
func (tries) Connection(Connection) {}

func TestEachTryToObtainACertificateIsCounted(t *testing.T) {
	inWorld(t, func(w *world) {
		counted := new(tally)
		w.hook = func(n int, rw http.ResponseWriter, _ fakeCall) bool {
			if n == 1 || n == 3 {
				writeProblem(rw, http.StatusServiceUnavailable, "unavailable", "soon")
				return true
			}
			return false
		}
		w.open(func(c *Config) { c.Metrics = counted })
		pass(40 * time.Minute) // a renewal, which fails once
		var got []bool
		for _, err := range counted.renewals {
			got = append(got, err == nil)
		}
		if diff := cmp.Diff([]bool{false, true, false, true}, got); diff != "" {
			t.Errorf("renewals (-want +got):\n%s", diff)
		}
	})
}

func TestHandshakesOfTheConfigurationsAloneAreCounted(t *testing.T) {
	g := newGuarded()
	counted := new(tally)
	g.here.metrics = counted
	server, client := g.here.ServerTLS(AuthorizeID(g.healthy.ID())), g.here.ClientTLS(AuthorizeID(g.healthy.ID()))
	handshake(named(g.healthy.ClientTLS(anyone)), server)
	handshake(named(g.bad.ClientTLS(anyone)), server)
	handshake(named(client), g.healthy.ServerTLS(anyone))
	handshake(named(client), g.bad.ServerTLS(anyone))
	want := []Handshake{
		{Side: SideServer}, {Side: SideServer, Reason: ReasonBadIdentity},
		{Side: SideClient}, {Side: SideClient, Reason: ReasonBadIdentity},
	}
	if diff := cmp.Diff(want, counted.handshakes); diff != "" {
		t.Errorf("handshakes (-want +got):\n%s", diff)
	}
}

func TestHandshakesAreCountedWithHowLongTheyTook(t *testing.T) {
	g := newGuarded()
	counted := new(tally)
	g.here.metrics, g.healthy.metrics, g.bad.metrics = counted, counted, counted
	dial, open := loopback(t, g.here, g.healthy, AuthorizeID(g.healthy.ID()))
	if err := dial(); err != nil || !soon(func() bool { return open() == 1 }) {
		t.Fatalf("%v, %d open", err, open())
	}
	badDial, _ := loopback(t, g.here, g.bad, AuthorizeID(g.healthy.ID()))
	if err := badDial(); err == nil {
		t.Fatal("the bad peer is let in")
	}
	if !soon(func() bool { return len(counted.seen()) == 4 }) {
		t.Fatalf("connections: %+v", counted.seen())
	}
	sides := map[Side][]Reason{}
	for _, h := range counted.handshakes {
		if h.Duration <= 0 || h.Duration > time.Minute {
			t.Errorf("handshake %+v", h)
		}
		sides[h.Side] = append(sides[h.Side], h.Reason)
	}
	// The dialing side has finished before it is refused.
	want := map[Side][]Reason{SideServer: {"", ReasonBadIdentity}, SideClient: {"", ""}}
	if diff := cmp.Diff(want, sides); diff != "" {
		t.Errorf("handshakes (-want +got):\n%s", diff)
	}
}

// panicky are Metrics that cannot count.
type panicky struct{}

func (panicky) Renewal(error)         { panic("renewal") }
func (panicky) Handshake(Handshake)   { panic("handshake") }
func (panicky) Connection(Connection) { panic("connection") }

func TestAPanicOfMetricsRefusesNobody(t *testing.T) {
	inWorld(t, func(w *world) {
		var book logbook
		s := w.open(func(c *Config) { c.Log, c.Metrics = book.logger(), panicky{} })
		l := s.Listener(w.net.listen(webHost), ListenerConfig{Authorize: anyone})
		defer l.Close()
		d := s.Dialer(DialerConfig{Authorize: anyone, DialContext: w.net.DialContext})
		dialed := make(chan error, 1)
		go func() {
			conn, err := d.DialContext(w.t.Context(), "tcp", webHost)
			if err == nil {
				defer conn.Close()
			}
			dialed <- err
		}()
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := <-dialed; err != nil {
			t.Error(err)
		}
		if book.count(`"panic at`) == 0 || book.count("hook=Metrics") != 5 { // a renewal, and two of each side
			t.Errorf("log: %s", book.text.String())
		}
	})
}
