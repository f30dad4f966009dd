package server_test

import (
	"container/heap"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
)

// fleetSize is how many clients live through an incident.
const fleetSize = 10_000

// fleet is a service and its clients, whose certificates are replaced in an incident. What the
// database would keep is a map, and the clients share a key: nothing else is left out.
type fleet struct {
	*server.Service
	t       *testing.T
	rng     *mathrand.Rand
	csr     []byte
	records map[store.Serial]*store.Record
	look    time.Duration // how often a client looks at its window

	events   events
	replaced []time.Time // when, in order
	expired  int
	refused  int
}

// member is a client: it looks at its window now and then, and renews when that begins.
type member struct {
	caller       policy.Caller
	notAfter     time.Time
	offlineUntil time.Time
	ignores      bool // renews as soon as it hears of the incident, and comes again when it is told to
	retryAt      time.Time
}

// Record implements store.Records.
func (f *fleet) Record(_ context.Context, serial store.Serial) (*store.Record, error) {
	if r := f.records[serial]; r != nil {
		return r, nil
	}
	return nil, store.ErrNotFound
}

func (f *fleet) Records(context.Context, store.RecordFilter) ([]store.Record, error) { return nil, nil }

// Insert implements server.Issuances.
func (f *fleet) Insert(_ context.Context, i *store.Issuance, _ time.Time) error {
	f.records[i.Serial] = &i.Record
	return nil
}

func (f *fleet) InsertAll(context.Context, []*store.Issuance, time.Time) []error { return nil }

// newFleet is a fleet whose certificates have this lifetime, are of all ages up to their windows,
// and have to be replaced from now on: their intermediate is tainted.
func newFleet(t *testing.T, size int, lifetime time.Duration, incident ca.Incident) *fleet {
	t.Helper()
	now := time.Now()
	pki := catest.New(t, catest.Options{Now: now.Add(-lifetime), RootKey: ca.ECDSAP256})
	f := &fleet{t: t, look: incident.Deadline.Sub(now) / 40, rng: mathrand.New(mathrand.NewPCG(1, 2)), records: make(map[store.Serial]*store.Record)}
	_, f.csr = catest.CSR(t, ca.ECDSAP256)
	base := newFixture(t)
	var err error
	f.Service, err = server.New(server.Config{Set: pki.Set(), Issuances: f, Records: f, Entries: base.store, Tokens: base.store, Revocations: base.store})
	if err != nil {
		t.Fatal(err)
	}
	for n := range size {
		f.join(pki.Set(), n, lifetime)
	}
	issuer := pki.Set().Issuer().ID()
	cfg := pki.Prepare(t).Activate(t).SetConfig()
	for i := range cfg.Authorities {
		if cfg.Authorities[i].State == ca.StateRetiring {
			cfg.Authorities[i].State = ca.StateTainted
		}
	}
	incident.ID, incident.Issuers, incident.IssuedBefore, incident.Start, incident.Total = "i", []string{issuer}, now.Add(5*time.Minute), now, size
	cfg.Incidents = []ca.Incident{incident}
	if err := f.Adopt(newSet(t, cfg, now), now); err != nil {
		t.Fatal(err)
	}
	return f
}

// join makes a client whose certificate is of any age before its window.
func (f *fleet) join(set *ca.Set, n int, lifetime time.Duration) {
	now := time.Now()
	id := parseID(f.t, fmt.Sprintf("spiffe://example.org/w/%d", n))
	var r store.Record
	for {
		notBefore := now.Add(-time.Duration(f.rng.Float64() * 0.6 * float64(lifetime))).Truncate(time.Second)
		notAfter := notBefore.Add(lifetime)
		serial, err := ca.NewSerial(rand.Reader, notAfter)
		if err != nil {
			f.t.Fatal(err)
		}
		r = store.Record{
			Serial: store.Serial(serial), SPIFFEID: id.String(), Profile: "workload", Issuer: set.Issuer().ID(), NotBefore: notBefore, NotAfter: notAfter,
			Certificate: serial[:], // what is compared is its digest
		}
		if set.Window(r.Issuer, serial, notBefore, notAfter, 0).Start.After(now) {
			break
		}
	}
	f.records[r.Serial] = &r
	m := &member{caller: peerOf(id, r.Serial), notAfter: r.NotAfter}
	heap.Push(&f.events, event{now.Add(f.within(f.look)), m})
}

func peerOf(id spiffeid.ID, serial store.Serial) policy.Caller {
	return policy.Caller{Method: policy.MethodPeer, Subject: id.String(), ID: id, Serial: ca.Serial(serial), Fingerprint: sha256.Sum256(serial[:]), Address: "192.0.2.1"}
}

func (f *fleet) within(d time.Duration) time.Duration { return time.Duration(f.rng.Int64N(int64(d))) }

// live has everybody do what is due until all are replaced, or nothing happens any more.
func (f *fleet) live() {
	for len(f.events) > 0 && len(f.replaced) < fleetSize {
		e := heap.Pop(&f.events).(event)
		time.Sleep(time.Until(e.at))
		if next := f.act(e.member, time.Now()); !next.IsZero() {
			heap.Push(&f.events, event{next, e.member})
		}
	}
}

// act has a client do what is due, and says when it is due again.
func (f *fleet) act(m *member, now time.Time) (next time.Time) {
	switch {
	case !now.Before(m.notAfter):
		f.expired++
		return time.Time{}
	case now.Before(m.offlineUntil):
		return m.offlineUntil.Add(f.within(time.Second))
	case now.Before(m.retryAt):
		return m.retryAt
	}
	update, err := f.Trust(context.Background(), m.caller, server.Known{Bundle: 1}, 0)
	if err != nil {
		f.t.Fatal(err)
	}
	if wait := update.Renewal.Start.Sub(now); wait > 0 && !m.ignores {
		return now.Add(min(wait, f.look))
	}
	_, err = f.Renew(context.Background(), m.caller, server.Request{CSR: f.csr})
	if err == nil {
		f.replaced = append(f.replaced, now)
		return time.Time{}
	}
	f.refused++
	refusal := server.AsError(err)
	if refusal.Kind != server.KindRateLimited || refusal.RetryAfter <= 0 {
		f.t.Fatal(err)
	}
	m.retryAt = now.Add(refusal.RetryAfter)
	return m.retryAt
}

// event is when a client has something to do.
type event struct {
	at     time.Time
	member *member
}

// events is a heap of them, the next first.
type events []event

func (e events) Len() int           { return len(e) }
func (e events) Less(i, j int) bool { return e[i].at.Before(e[j].at) }
func (e events) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)        { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// peak is the most certificates per second over any time of this length.
func (f *fleet) peak(over time.Duration) float64 {
	most, first := 0, 0
	for last := range f.replaced {
		for f.replaced[last].Sub(f.replaced[first]) >= over {
			first++
		}
		most = max(most, last-first+1)
	}
	return float64(most) / over.Seconds()
}

// TestTenThousandAreReplaced: at the rate of the incident, before its deadline, and nobody expires.
// The rate is measured over a minute: it is long against the chance by which places lie close
// together (at the lowest rate that is chosen, 60 in a minute), and short against what a
// database or an autoscaler reacts to.
func TestTenThousandAreReplaced(t *testing.T) {
	const hourly = 100.0 / 9 // what rotation chooses: twice the rate at which they are renewed anyway
	for name, tt := range map[string]struct {
		lifetime time.Duration
		rate     float64
		deadline time.Duration
		offline  bool // a fifth of them for the first half of the time
		ignores  bool // a tenth of them
	}{
		"leaves of an hour": {lifetime: time.Hour, rate: hourly, deadline: 1125 * time.Second},
		"a fifth is offline for half of the time, and a tenth ignores windows": {
			lifetime: time.Hour, rate: hourly, deadline: 1125 * time.Second, offline: true, ignores: true,
		},
		"leaves of a day, a fifth is offline": {
			lifetime: 24 * time.Hour, rate: 1, deadline: 12_500 * time.Second, offline: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				f := newFleet(t, fleetSize, tt.lifetime, ca.Incident{Rate: tt.rate, Deadline: began.Add(tt.deadline)})
				for n := range f.events {
					m := f.events[n].member
					if tt.offline && n%5 == 0 {
						m.offlineUntil = began.Add(tt.deadline / 2)
					}
					m.ignores = tt.ignores && n%10 == 1
				}
				f.live()
				if len(f.replaced) != fleetSize || f.expired > 0 {
					t.Fatalf("%d are replaced and %d have expired", len(f.replaced), f.expired)
				}
				last := slices.MaxFunc(f.replaced, time.Time.Compare).Sub(began)
				if last > tt.deadline {
					t.Errorf("the last is replaced after %s, the deadline is after %s", last, tt.deadline)
				}
				if peak := f.peak(time.Minute); peak > 1.2*tt.rate {
					t.Errorf("%.2f certificates per second in a minute, want at most 1.2 times %.2f", peak, tt.rate)
				}
				t.Logf("peak over a minute %.2f times the rate, over ten seconds %.2f times; the last after %s of %s; %d refusals",
					f.peak(time.Minute)/tt.rate, f.peak(10*time.Second)/tt.rate, last.Round(time.Second), tt.deadline, f.refused)
			})
		})
	}
}

// TestPaceOfOneCertificate is what one holder meets in an incident.
func TestPaceOfOneCertificate(t *testing.T) {
	incident := func() ca.Incident { return ca.Incident{Rate: 0.1, Deadline: time.Now().Add(1000 * time.Second)} }
	retry := func(t *testing.T, err error) time.Duration {
		t.Helper()
		if err == nil {
			return 0
		}
		refusal := server.AsError(err)
		if refusal.Kind != server.KindRateLimited || refusal.Code != "rate_limited" || refusal.RetryAfter <= 0 {
			t.Fatal(err)
		}
		return refusal.RetryAfter
	}
	renew := func(f *fleet, m *member) error {
		_, err := f.Renew(context.Background(), m.caller, server.Request{CSR: f.csr})
		return err
	}
	t.Run("it is told its place, by every way to renew, and admitted then", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFleet(t, 50, 24*time.Hour, incident())
			m := f.events[7].member
			update, err := f.Trust(context.Background(), m.caller, server.Known{Bundle: 1}, 0)
			if err != nil {
				t.Fatal(err)
			}
			place := time.Until(update.Renewal.Start)
			_, issued := f.Issue(context.Background(), m.caller, server.Request{CSR: f.csr})
			_, batched := f.IssueBatch(context.Background(), m.caller, []server.Request{{CSR: f.csr}})
			for _, err := range []error{renew(f, m), issued, batched} {
				if got := retry(t, err); got != place {
					t.Errorf("it is told to come in %s, its place is in %s", got, place)
				}
			}
			time.Sleep(place)
			if err := renew(f, m); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("many who are late wait for one another, and who asks again takes no second turn", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFleet(t, 50, 24*time.Hour, incident())
			time.Sleep(900 * time.Second) // past every place
			for range 3 {                 // the first is admitted each time
				for n, want := range []time.Duration{0, 9090 * time.Millisecond, 18181 * time.Millisecond} {
					if got := retry(t, renew(f, f.events[n].member)); got < want || got > want+3*time.Second {
						t.Errorf("client %d is told to come in %s, want %s and at most two seconds more", n, got, want)
					}
				}
			}
		})
	})
	t.Run("it is admitted when it would expire before its turn", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			slow := incident()
			slow.Rate, slow.Deadline = 0.001, time.Now().Add(100*time.Hour)
			f := newFleet(t, 50, time.Hour, slow)
			for _, e := range f.events {
				time.Sleep(max(0, time.Until(e.member.notAfter.Add(-5*time.Minute))))
				if now := time.Now(); now.Before(e.member.notAfter) {
					if err := renew(f, e.member); err != nil {
						t.Errorf("%s before it expires: %v", e.member.notAfter.Sub(now), err)
					}
				}
			}
		})
	})
	t.Run("whom the incident does not cover is not held back", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFleet(t, 50, 24*time.Hour, incident())
			time.Sleep(900 * time.Second)
			m := f.events[0].member
			issued, err := f.Renew(context.Background(), m.caller, server.Request{CSR: f.csr})
			if err != nil {
				t.Fatal(err)
			}
			serial, err := ca.ParseSerial(issued.Serial)
			if err != nil {
				t.Fatal(err)
			}
			m.caller.Serial, m.caller.Fingerprint = serial, sha256.Sum256(parseChain(t, issued.Chain)[0].Raw)
			for range 20 {
				if err := renew(f, m); err != nil {
					t.Fatal(err)
				}
			}
			_, other := f.Renew(context.Background(), f.events[1].member.caller, server.Request{CSR: f.csr})
			retry(t, other)
		})
	})
}
