package server

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/policy"
)

const (
	// pacedRate is what those who come at their place or later get of the rate of an incident:
	// a little more than all of it, so that who was late catches up.
	pacedRate = 1.1
	// pacedBurst is how much of that may come at once. Together they keep every minute below
	// 1.2 times the rate.
	pacedBurst = 5 * time.Second
	// pacedJitter is by how much later they are told to come again, at most: clients round.
	pacedJitter = 2 * time.Second
	// pacedTurns is how many turns a replica remembers. Whose turn was forgotten takes another.
	pacedTurns = 200_000
)

// pacer holds renewals back while an incident has many certificates replaced at once. It paces those
// who do not look at their window, and those who come late together. It never holds anybody back
// until the certificate would expire; and enrolment does not come here.
type pacer struct {
	turns *lru.Cache[paced, time.Time] // see turn

	mu      sync.Mutex
	buckets map[string]*rate.Limiter // by incident
}

// paced is a certificate in an incident. In the next incident it has another turn.
type paced struct {
	incident string
	serial   ca.Serial
}

func newPacer() *pacer {
	turns, err := lru.New[paced, time.Time](pacedTurns)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &pacer{turns: turns, buckets: make(map[string]*rate.Limiter)}
}

// pace admits the renewal of the caller's own certificate, or says when its turn is.
func (s *Service) pace(ctx context.Context, caller policy.Caller, now time.Time) error {
	set := s.Set()
	if caller.Method != policy.MethodPeer || caller.Role != policy.RoleNone || len(set.Incidents()) == 0 {
		return nil
	}
	h, err := s.recorded(ctx, caller)
	if err != nil || h == nil {
		return err
	}
	incident, _, covered := set.Incident(h.issuer, caller.Serial, h.notBefore, h.notAfter)
	if !covered {
		return nil
	}
	window := set.Window(h.issuer, caller.Serial, h.notBefore, h.notAfter, s.renewAt(h.current.Profile))
	if now.Before(window.Start) {
		return notYet(window.Start.Sub(now))
	}
	turn := s.pacer.turn(set, incident, caller.Serial, now)
	latest := h.notAfter.Add(-h.notAfter.Sub(h.notBefore) / 10)
	if !now.Before(turn) || turn.After(latest) {
		return nil
	}
	return notYet(turn.Sub(now) + rand.N(pacedJitter)) //nolint:gosec // jitter is no secret
}

func notYet(wait time.Duration) *Error {
	return &Error{
		Kind: KindRateLimited, Code: "rate_limited", RetryAfter: wait,
		Message: fmt.Sprintf("many certificates are being replaced, and the turn of this one is in %s", wait.Round(time.Second)),
	}
}

// turn is when the renewal of a certificate is admitted. It is drawn once: who comes back, or comes
// again because the answer was lost, takes nobody's turn.
func (p *pacer) turn(set *ca.Set, incident ca.Incident, serial ca.Serial, now time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := paced{incident.ID, serial}
	if turn, ok := p.turns.Get(key); ok {
		return turn
	}
	turn := now.Add(p.bucket(set, incident).ReserveN(now, 1).DelayFrom(now))
	p.turns.Add(key, turn)
	return turn
}

// bucket is the one of an incident. Those of incidents that are over are forgotten.
func (p *pacer) bucket(set *ca.Set, incident ca.Incident) *rate.Limiter {
	if b := p.buckets[incident.ID]; b != nil {
		return b
	}
	for id := range p.buckets {
		if !slices.ContainsFunc(set.Incidents(), func(open ca.Incident) bool { return open.ID == id }) {
			delete(p.buckets, id)
		}
	}
	burst := max(1, int(math.Floor(incident.Rate*pacedBurst.Seconds())))
	b := rate.NewLimiter(rate.Limit(pacedRate*incident.Rate), burst)
	p.buckets[incident.ID] = b
	return b
}
