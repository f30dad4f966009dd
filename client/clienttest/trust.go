package clienttest

import (
	"net/url"
	"slices"
	"strconv"
	"time"
)

const (
	// maxWait is the longest that a poll is held, whatever it asks for, as with Pando.
	maxWait = 30 * time.Second

	// page is the most serial numbers in an answer, as with Pando.
	page = 10_000
)

// known is what a caller says in a poll that it has.
type known struct {
	after           uint64 // sequence of the bundle
	wait            time.Duration
	revocations     bool // whether they are asked for
	revocationsPast uint64
	mtls            bool // whether it is asked for
	mtlsVersion     string
}

// told is what a caller does not say that it has: it was told when it asked.
type told struct {
	window renewal
	keys   int // authorities that are revoked
}

// poll answers when there is something that the caller does not know, or its time is over. It is
// the acknowledgement of the bundle that the caller names.
func (c *CA) poll(x *exchange) (*trustResponse, error) {
	rec, err := c.peer(x)
	if err != nil {
		return nil, err
	}
	k, err := parsePoll(x.r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	before := c.acknowledge(x.note, rec, k)
	timer := time.NewTimer(min(k.wait, maxWait))
	defer timer.Stop()
	for over := k.after == 0 || k.wait == 0; ; {
		answer, next, err := c.look(rec, k, before, over)
		if answer != nil || err != nil {
			return answer, err
		}
		select {
		case <-next:
		case <-timer.C:
			over = true
		case <-x.r.Context().Done():
			over = true
		}
	}
}

// acknowledge notes what a caller has, and returns what it is about to be told of the rest.
func (c *CA) acknowledge(note *Request, rec *record, k known) told {
	c.mu.Lock()
	defer c.mu.Unlock()
	note.After, note.Wait = k.after, k.wait
	note.Revocations, note.RevocationsAfter = k.revocations, k.revocationsPast
	note.MTLS, note.MTLSVersion = k.mtls, k.mtlsVersion
	if acknowledged := min(k.after, c.sequence); acknowledged > rec.acknowledged {
		rec.acknowledged = acknowledged
		c.wake()
	}
	return told{rec.window(), len(c.revokedKeys)}
}

// look returns the answer to a poll if there is news or its time is over, and otherwise what is
// closed when there may be.
func (c *CA) look(rec *record, k known, before told, over bool) (*trustResponse, <-chan struct{}, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if rec.revoked {
		return nil, nil, errRevoked()
	}
	policy := c.modes.of(rec.id.String(), time.Now())
	switch {
	case over, c.sequence > k.after, rec.window() != before.window:
	case k.mtls && policy.Version != k.mtlsVersion:
	case k.revocations && (k.revocationsPast != uint64(len(c.revoked)) || len(c.revokedKeys) != before.keys):
	default:
		return nil, c.changed, nil
	}
	if !k.mtls {
		policy = nil
	}
	return &trustResponse{Bundle: c.bundle(), Renewal: rec.window(), Revocations: c.revokedSince(k), MTLS: policy}, nil, nil
}

// revokedSince is what a caller does not know to be revoked; nil if it does not ask. The caller
// holds mu.
func (c *CA) revokedSince(k known) *revocations {
	if !k.revocations {
		return nil
	}
	past, all := k.revocationsPast, uint64(len(c.revoked))
	l := &revocations{Authorities: slices.Sorted(slices.Values(c.revokedKeys)), Reset: past > all}
	if l.Reset {
		past = 0
	}
	l.Sequence = min(past+page, all)
	l.Serials, l.More = append([]string{}, c.revoked[past:l.Sequence]...), l.Sequence < all
	if l.Authorities == nil {
		l.Authorities = []string{}
	}
	return l
}

// parsePoll reads the query of a poll. What it does not know is refused.
func parsePoll(raw string) (k known, err error) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return k, invalid("the query string is not well formed")
	}
	for name, values := range query {
		if len(values) > 1 || values[0] == "" && name != "mtls_version" {
			return k, invalid("query parameter " + strconv.Quote(name) + " has no value, or stands twice")
		}
		switch value := values[0]; name {
		case "after":
			k.after, err = strconv.ParseUint(value, 10, 64)
		case "revocations_after":
			k.revocations = true
			k.revocationsPast, err = strconv.ParseUint(value, 10, 64)
		case "mtls_version":
			k.mtls, k.mtlsVersion = true, value
		case "wait":
			k.wait, err = time.ParseDuration(value)
			if k.wait < 0 {
				return k, invalid("wait: negative")
			}
		default:
			return k, invalid("unknown query parameter " + strconv.Quote(name))
		}
		if err != nil {
			return k, invalid(name + ": " + err.Error())
		}
	}
	return k, nil
}
