package rotation

import (
	"crypto/rand"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/pando-ca/pando/store"
)

const (
	// longestIncident is how long a mass re-issue takes by default, at most: a working day is
	// not over, and a database that issues day by day does not notice the rate.
	longestIncident = 4 * time.Hour
	// pacedShare of the time to the deadline is what places lie in. The rest is for those who
	// come late: who was offline, is told to come again, or looks for its window once an hour.
	pacedShare = 4.0 / 5
	// leastRate is the least that is worth waiting for, in certificates per second.
	leastRate = 1.0
	// mostRate is more than any number of replicas issue.
	mostRate = 1e6
)

// renewal is how many certificates per second come by themselves. Each is renewed once in a half
// of its lifetime or later.
func renewal(d store.Dependents) float64 { return 2 * d.PerSecond }

// pace fills the times and the rate of an incident for the certificates that left counts. Without
// a rate and a deadline that somebody wants, it is over in [longestIncident]; faster, down to the
// refresh hint, when that needs less than [leastRate]; and always at twice the rate at which the
// certificates are renewed anyway, or it would do nothing. What somebody wants is refused when it
// does not fit, with the rate that does.
func (p Policy) pace(left store.Dependents, rate float64, deadline, now time.Time) (store.Incident, error) {
	n := float64(left.Certificates)
	i := store.Incident{StartsAt: now, Deadline: deadline, Rate: rate, Total: left.Certificates}
	switch {
	case rate < 0 || math.IsNaN(rate) || rate > mostRate:
		return i, refuse("a rate of %g certificates per second is not possible", rate)
	case !deadline.IsZero() && !deadline.After(now):
		return i, refuse("deadline %s has passed", instant(deadline))
	}
	fits := renewal(left)
	if !deadline.IsZero() {
		fits = max(fits, n/(pacedShare*deadline.Sub(now).Seconds()))
	}
	switch {
	case rate > 0 && rate < fits && !deadline.IsZero():
		return i, refuse("%d certificates at %s a second do not fit before %s with a fifth of the time left for those who are late, or are renewed faster by themselves: a rate of %s fits",
			left.Certificates, rateText(rate), instant(deadline), rateText(fits))
	case rate > 0 && rate < fits:
		return i, refuse("%d certificates are renewed by themselves at %s a second: that rate, or a higher one, fits", left.Certificates, rateText(fits))
	case rate == 0 && !deadline.IsZero():
		i.Rate = max(fits, 2*renewal(left))
	case rate == 0:
		spread := min(pacedShare*longestIncident.Seconds(), n/leastRate)
		i.Rate = n / min(max(spread, p.RefreshHint.Seconds()), n/(2*renewal(left)))
	}
	if deadline.IsZero() {
		i.Deadline = now.Add(time.Duration(n / i.Rate / pacedShare * float64(time.Second)))
	}
	return i, nil
}

// declare makes an incident of what somebody orders; nil when nobody would have to come.
func (p Policy) declare(o Order, issuers []string, left store.Dependents, now time.Time) (*store.Incident, error) {
	if left.Certificates == 0 {
		return nil, nil
	}
	i, err := p.pace(left, o.Rate, o.Deadline, now)
	if err != nil {
		return nil, err
	}
	i.ID, i.CreatedAt, i.Actor, i.Reason, i.Issuers = rand.Text()[:16], now, o.Actor, o.Reason, issuers
	i.IssuedBefore = now.Add(p.Skew) // by a replica whose clock is ahead
	return &i, nil
}

// rateText rounds up, so that what is refused names a rate that is not.
func rateText(rate float64) string {
	return strconv.FormatFloat(math.Ceil(rate*100)/100, 'f', -1, 64)
}

// Progress is an incident, and how far it has come.
type Progress struct {
	store.Incident
	Replaced int       // certificates, of Incident.Total; also those that have expired
	Left     int       // certificates that nobody has renewed yet
	Overdue  int       // of these, by how many the pace is missed
	RateNow  float64   // certificates per second, over the last minute
	Done     time.Time // when nobody is left at that rate; zero: not known
}

// recently is the time over which progress is measured.
const recently = time.Minute

// progressOf tells how far an incident has come at now.
func progressOf(i store.Incident, left store.Dependents, now time.Time) Progress {
	if !i.ClosedAt.IsZero() {
		return Progress{Incident: i, Replaced: i.Total}
	}
	p := Progress{Incident: i, Left: left.Certificates, Replaced: max(0, i.Total-left.Certificates)}
	p.RateNow = float64(left.Renewed) / recently.Seconds()
	share := now.Sub(i.StartsAt).Seconds() * i.Rate / float64(max(1, i.Total))
	planned := int(math.Ceil(float64(i.Total) * (1 - min(max(share, 0), 1))))
	if now.After(i.Deadline) {
		planned = 0
	}
	p.Overdue = max(0, p.Left-planned)
	if p.RateNow > 0 {
		p.Done = now.Add(time.Duration(float64(p.Left) / p.RateNow * float64(time.Second)))
	}
	return p
}

// Refusal is an order that is not carried out, and why.
type Refusal struct {
	Message string // a sentence for people
	Force   bool   // whether it is carried out with Order.Force
}

func (r *Refusal) Error() string { return r.Message }

func refuse(format string, args ...any) *Refusal {
	return &Refusal{Message: fmt.Sprintf(format, args...)}
}
