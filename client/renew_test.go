package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

func TestDue(t *testing.T) {
	obtained := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	leaf := &snapshot{
		obtained: obtained, settle: 3 * time.Minute,
		window: window{start: obtained.Add(30 * time.Minute)},
	}
	for name, test := range map[string]struct {
		wall time.Duration // of the time of day since the certificate came
		age  time.Duration // that really went by
		want time.Duration
	}{
		"just obtained":                          {0, 0, 30 * time.Minute},
		"half way":                               {15 * time.Minute, 15 * time.Minute, 15 * time.Minute},
		"the instant itself":                     {30 * time.Minute, 30 * time.Minute, 0},
		"past it":                                {31 * time.Minute, 31 * time.Minute, -time.Minute},
		"the machine slept for a day":            {24 * time.Hour, 10 * time.Minute, -7 * time.Minute},
		"the clock was set a day ahead at once":  {24 * time.Hour, 0, 3 * time.Minute},
		"the clock was set back by a day":        {-24 * time.Hour, 10 * time.Minute, 20 * time.Minute},
		"set back by a day, and the time passed": {-24 * time.Hour, 30 * time.Minute, 0},
		"set back by a century":                  {-100 * 365 * 24 * time.Hour, 40 * time.Minute, -10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			got := leaf.due(obtained.Add(test.wall), test.age)
			if got != test.want {
				t.Errorf("due in %s, want %s", got, test.want)
			}
		})
	}
}

func TestBackoff(t *testing.T) {
	plain := errors.New("connection refused")
	asked := fmt.Errorf("renew: %w", &ServerError{Status: 503, RetryAfter: 7 * time.Second})
	for name, test := range map[string]struct {
		failures int
		limit    time.Duration
		err      error
		min, max time.Duration
	}{
		"the first":                      {1, maxBackoff, plain, 1, time.Second},
		"the fourth":                     {4, maxBackoff, plain, 1, 8 * time.Second},
		"the hundredth":                  {100, maxBackoff, plain, 1, maxBackoff},
		"little time left":               {100, 5 * time.Second, plain, 1, 5 * time.Second},
		"no time left":                   {100, 0, plain, 1, time.Second},
		"a server that asks for more":    {1, maxBackoff, asked, 7 * time.Second, 8 * time.Second},
		"a server that asks, after many": {100, maxBackoff, asked, 7 * time.Second, 8 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			seen := make(map[time.Duration]bool)
			var most time.Duration
			for range 1000 {
				d := backoff(test.failures, test.limit, test.err)
				if d < test.min || d > test.max {
					t.Fatalf("%s, want %s to %s", d, test.min, test.max)
				}
				seen[d], most = true, max(most, d)
			}
			if len(seen) < 500 || most < test.min+(test.max-test.min)/2 {
				t.Errorf("%d values up to %s: that is no full jitter", len(seen), most)
			}
		})
	}
}

func TestTheLongestWaitThatServersAskForCounts(t *testing.T) {
	asked := func(d time.Duration) error { return &ServerError{Status: 503, RetryAfter: d} }
	for name, test := range map[string]struct {
		err  error
		want time.Duration
	}{
		"nobody answers":               {errors.New("connection refused"), 0},
		"one that does not say":        {asked(0), 0},
		"one that does, wrapped":       {fmt.Errorf("renew: %w", asked(time.Minute)), time.Minute},
		"the second of two":            {fmt.Errorf("renew: %w", also(asked(0), asked(time.Minute))), time.Minute},
		"the first of two":             {also(asked(time.Hour), asked(time.Minute)), time.Hour},
		"after one that is away":       {also(errors.New("connection refused"), asked(time.Minute)), time.Minute},
		"an enrolment after a renewal": {fmt.Errorf("%w; %w", asked(0), fmt.Errorf("enrol: %w", asked(time.Second))), time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			if got := askedToWait(test.err); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

func TestPause(t *testing.T) {
	asked := func(d time.Duration) error { return &ServerError{Status: 429, RetryAfter: d} }
	for name, test := range map[string]struct {
		left     time.Duration // until the certificate expires
		err      error
		min, max time.Duration
	}{
		"asked for less than is left":    {30 * time.Minute, asked(20 * time.Minute), 20 * time.Minute, 20*time.Minute + time.Second},
		"asked for little, little left":  {2 * time.Minute, asked(90 * time.Second), 90 * time.Second, 91 * time.Second},
		"asked for almost all":           {30 * time.Minute, asked(30*time.Minute - time.Second), 30*time.Minute - lastTry, 30*time.Minute - lastTry},
		"asked for more than is left":    {30 * time.Minute, asked(time.Hour), 30*time.Minute - lastTry, 30*time.Minute - lastTry},
		"asked for more, seconds left":   {8 * time.Second, asked(time.Hour), 6 * time.Second, 6 * time.Second},
		"asked for more, no time left":   {time.Second / 2, asked(time.Hour), baseBackoff, baseBackoff},
		"asked, and expired":             {-time.Second, asked(10 * time.Minute), 10 * time.Minute, 10*time.Minute + time.Second},
		"not asked, and hours left":      {4 * time.Hour, errors.New("refused"), 1, maxBackoff},
		"not asked, and one minute left": {time.Minute, errors.New("refused"), 1, 15 * time.Second},
		"not asked, and expired":         {-time.Second, errors.New("refused"), 1, maxBackoff},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Now()
			s := &snapshot{certificate: tls.Certificate{Leaf: &x509.Certificate{NotAfter: now.Add(test.left), SerialNumber: new(big.Int)}}}
			for range 200 {
				if d := s.pause(100, test.err, now); d < test.min || d > test.max {
					t.Fatalf("%s, want %s to %s", d, test.min, test.max)
				}
			}
		})
	}
}

// TestAnIncidentIsFollowedToTheSecond: the CA moves the window, turns the first two tries
// away and says when to come back.
func TestAnIncidentIsFollowedToTheSecond(t *testing.T) {
	for name, status := range map[string]int{"too many requests": http.StatusTooManyRequests, "unavailable": http.StatusServiceUnavailable} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				waits := map[int]time.Duration{2: 5 * time.Minute, 3: 12 * time.Minute}
				w.hook = func(n int, rw http.ResponseWriter, _ fakeCall) bool {
					if wait, ok := waits[n]; ok {
						rw.Header().Set("Retry-After", fmt.Sprint(wait.Seconds()))
						writeProblem(rw, status, "rate_limited", "the incident is paced")
					}
					return waits[n] != 0
				}
				s := w.open(nil)
				pass(5 * time.Minute)
				before := s.Status()
				place := time.Now().Add(90*time.Second + 1234567*time.Microsecond)
				w.change(func() { w.windows[before.Serial] = renewal{Start: place, End: place.Add(20 * time.Minute)} })
				synctest.Wait()
				if due := s.Status().RenewalDue; !due.Equal(place) {
					t.Fatalf("due at %s, want %s", due, place)
				}
				pass(time.Minute)
				// A second move does not overrule what the server asks for afterwards.
				pass(time.Until(place) + time.Second)
				w.change(func() { w.windows[before.Serial] = renewal{Start: place.Add(-time.Minute), End: place} })
				pass(20 * time.Minute)
				calls := w.seen()
				if len(calls) != 4 || !calls[1].At.Equal(place) {
					t.Fatalf("%d calls, the first renewal at %s, want %s", len(calls), calls[1].At, place)
				}
				for n, wait := range waits {
					if gap := calls[n].At.Sub(calls[n-1].At); gap < wait || gap >= wait+time.Second {
						t.Errorf("try %d came after %s, want %s", n+1, gap, wait)
					}
				}
				if st := s.Status(); st.Serial == before.Serial || st.LastError != nil {
					t.Errorf("status: %+v", st)
				}
			})
		})
	}
}

func TestNoWaitCostsTheCertificate(t *testing.T) {
	inWorld(t, func(w *world) {
		w.hook = func(n int, rw http.ResponseWriter, _ fakeCall) bool {
			if n == 2 {
				rw.Header().Set("Retry-After", "3600")
				writeProblem(rw, http.StatusTooManyRequests, "rate_limited", "slow down")
			}
			return n == 2
		}
		s := w.open(nil)
		before := s.Status()
		pass(time.Until(before.NotAfter))
		calls := w.seen()
		if st := s.Status(); st.Serial == before.Serial || len(calls) != 3 || !calls[2].At.Equal(before.NotAfter.Add(-lastTry)) {
			t.Errorf("status: %+v after %d calls, the last at %s", st, len(calls), calls[len(calls)-1].At)
		}
	})
}
