package rotation_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/pando-ca/pando/rotation"
	"github.com/pando-ca/pando/store"
)

// crowd is a store with a number of certificates of one lifetime under every issuer.
type crowd struct {
	*modelStore
	n        int
	lifetime time.Duration
}

func (c *crowd) Dependents(_ context.Context, f store.DependentsFilter) (map[string]store.Dependents, error) {
	found := make(map[string]store.Dependents)
	for _, issuer := range f.Issuers {
		found[issuer] = store.Dependents{Certificates: c.n, NotAfter: f.Now.Add(c.lifetime), PerSecond: float64(c.n) / c.lifetime.Seconds()}
	}
	return found, nil
}

func TestPaceOfAnIncident(t *testing.T) {
	const day = 24 * time.Hour
	for name, tt := range map[string]struct {
		n        int
		lifetime time.Duration
		rate     float64
		after    time.Duration // deadline; 0: none is wanted
		want     float64       // rate
		deadline time.Duration
		refused  string
	}{
		"a million that live long: four hours":                {n: 1_000_000, lifetime: 60 * day, want: 86.81, deadline: 4 * time.Hour},
		"ten thousand that live long: one a second":           {n: 10_000, lifetime: 60 * day, want: 1, deadline: 12_500 * time.Second},
		"a few that live long: a refresh hint":                {n: 6, lifetime: 60 * day, want: 0.1, deadline: 75 * time.Second},
		"ten thousand for an hour: faster than by themselves": {n: 10_000, lifetime: time.Hour, want: 11.11, deadline: 1125 * time.Second},
		"a few for ten seconds":                               {n: 3, lifetime: 10 * time.Second, want: 1.2, deadline: 3125 * time.Millisecond},
		"a rate":                                              {n: 10_000, lifetime: 60 * day, rate: 50, want: 50, deadline: 250 * time.Second},
		"a deadline":                                          {n: 10_000, lifetime: 60 * day, after: time.Hour, want: 3.48, deadline: time.Hour},
		"a late deadline of short ones":                       {n: 10_000, lifetime: time.Hour, after: 10 * time.Hour, want: 11.11, deadline: 10 * time.Hour},
		"both":                                                {n: 10_000, lifetime: 60 * day, rate: 4, after: time.Hour, want: 4, deadline: time.Hour},
		"both, which do not fit":                              {n: 10_000, lifetime: 60 * day, rate: 3, after: time.Hour, refused: "a rate of 3.48 fits"},
		"a rate below that of renewals":                       {n: 10_000, lifetime: time.Hour, rate: 5, refused: "renewed by themselves at 5.56 a second"},
		"a deadline that has passed":                          {n: 10, lifetime: day, after: -time.Second, refused: "has passed"},
		"a negative rate":                                     {n: 10, lifetime: day, rate: -1, refused: "not possible"},
		"a rate that is no number":                            {n: 10, lifetime: day, rate: math.NaN(), refused: "not possible"},
		"an infinite rate":                                    {n: 10, lifetime: day, rate: math.Inf(1), refused: "not possible"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHands(t)
			r, err := rotation.NewRotator(rotation.RotatorConfig{
				Store: &crowd{h.store, tt.n, tt.lifetime}, Keys: h.keys, Policy: modelPolicy, Holder: "test",
			})
			if err != nil {
				t.Fatal(err)
			}
			o := rotation.Order{Action: rotation.ActReissue, Actor: handActor, Reason: "r", Rate: tt.rate}
			if tt.after != 0 {
				o.Deadline = h.now.Add(tt.after)
			}
			done, err := r.Carry(context.Background(), o, true, h.now)
			if tt.refused != "" {
				if err == nil || !strings.Contains(err.Error(), tt.refused) {
					t.Errorf("error %v, want %q", err, tt.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			i := done.Incident
			if math.Abs(i.Rate-tt.want) > 0.01 || i.Deadline.Sub(h.now).Round(time.Second/8) != tt.deadline || i.Total != tt.n {
				t.Errorf("rate %.3f until %s after now, want %.3f until %s", i.Rate, i.Deadline.Sub(h.now), tt.want, tt.deadline)
			}
			o.Rate, o.Deadline = i.Rate, i.Deadline
			if _, err := r.Carry(context.Background(), o, true, h.now); err != nil && tt.after == 0 {
				t.Errorf("what was chosen is refused when it is wanted: %v", err)
			}
		})
	}
}

func TestProgressOfAnIncident(t *testing.T) {
	h := newHands(t)
	serials := h.certificates(t, 10)
	h.now = h.now.Add(time.Second)
	i := h.must(t, rotation.Order{Action: rotation.ActTaint, Reason: "r", Rate: 0.1}, issuer0).Incident
	for n, tt := range []struct {
		after             time.Duration
		replaced, overdue int
		rate              float64
		done              time.Duration // from now; 0: not known
	}{
		{0, 0, 0, 0, 0},
		{20 * time.Second, 1, 1, 1.0 / 60, 540 * time.Second},
		{50 * time.Second, 5, 0, 5.0 / 60, 60 * time.Second},
		{120 * time.Second, 9, 1, 4.0 / 60, 15 * time.Second},
	} {
		now := i.StartsAt.Add(tt.after)
		for len(serials) > 10-tt.replaced {
			issuer := h.store.gen.Authorities[2].ID
			if _, err := h.store.insert(modelRecord{issuer, now, now.Add(time.Hour), serials[0], now.Add(-time.Second)}); err != nil {
				t.Fatal(err)
			}
			serials = serials[1:]
		}
		p, err := h.Incident(context.Background(), i.ID, now)
		if err != nil {
			t.Fatal(err)
		}
		eta := time.Duration(0)
		if !p.Done.IsZero() {
			eta = p.Done.Sub(now).Round(time.Second)
		}
		if p.Replaced != tt.replaced || p.Left != 10-tt.replaced || p.Overdue != tt.overdue || math.Abs(p.RateNow-tt.rate) > 1e-9 || eta != tt.done {
			t.Errorf("%d: replaced %d, left %d, overdue %d, rate %.3f, done in %s; want %+v", n, p.Replaced, p.Left, p.Overdue, p.RateNow, eta, tt)
		}
	}
	all, err := h.Incidents(context.Background(), 10, h.now)
	if err != nil || len(all) != 1 || all[0].ID != i.ID {
		t.Errorf("incidents %+v, %v", all, err)
	}
}
