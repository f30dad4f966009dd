package rotation_test

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/store"
)

// clientKind is how a client learns of new bundles.
type clientKind int

const (
	clientPrompt clientKind = iota // polls all the time, as the client library does
	clientSlow                     // polls every quarter of an hour or so
	clientFlaky                    // polls, and is absent for up to two hours now and then
	clientNever                    // knows what came with its certificate, which it renews late
)

// modelClient is a workload: it holds a certificate and a bundle, and verifies others by it.
type modelClient struct {
	name     string
	kind     clientKind
	serial   int // 0: never had a certificate
	notAfter time.Time
	sequence uint64 // of its bundle

	renewAt, pollAt, absentUntil time.Time
}

// modelLeaf is a certificate that somebody may present.
type modelLeaf struct {
	chain    *modelChain
	issuer   string
	notAfter time.Time
}

// live has a client do what is due.
func (w *world) live(c *modelClient) {
	if w.now.Before(c.absentUntil) {
		return
	}
	if c.kind == clientFlaky && w.rng.IntN(200) == 0 {
		c.absentUntil = w.now.Add(w.within(2 * time.Hour))
		return
	}
	if !w.now.Before(c.renewAt) {
		w.renew(c)
	}
	if c.kind != clientNever && !w.now.Before(c.pollAt) && c.notAfter.After(w.now) {
		w.poll(c)
	}
}

// renew gets a certificate, and the bundle that the replica has. A client that was away for too
// long starts anew.
func (w *world) renew(c *modelClient) {
	if !c.notAfter.After(w.now) {
		c.serial, c.sequence = 0, 0
	}
	r := w.replicas[w.rng.IntN(len(w.replicas))]
	lifetime := modelPolicy.LongestLeaf / time.Duration(1+w.rng.IntN(3))
	serial, err := w.issue(r, c, lifetime)
	if errors.Is(err, store.ErrIssuerInactive) { // the replica follows at once, and signs again
		w.seen["issuer inactive"]++
		w.adopt(r)
		serial, err = w.issue(r, c, lifetime)
	}
	if err != nil {
		w.violated("%s gets no certificate: %v", c.name, err)
		return
	}
	c.serial, c.notAfter = serial, w.store.records[serial].notAfter
	c.sequence = max(c.sequence, w.views[r.sees].Sequence())
	c.renewAt = w.now.Add(lifetime*2/5 + w.within(lifetime/5))
	if c.kind == clientNever {
		c.renewAt = c.renewAt.Add(lifetime / 3)
	}
}

// issue signs and records, or refuses as a server does.
func (w *world) issue(r *modelReplica, c *modelClient, lifetime time.Duration) (int, error) {
	set := w.views[r.sees]
	notBefore := w.now.Truncate(time.Second).Add(-min(ca.MaxSkew, lifetime/10))
	notAfter := notBefore.Add(lifetime)
	issuer := set.Issuer().Certificate()
	if notBefore.Before(issuer.NotBefore) || notAfter.After(issuer.NotAfter) {
		return 0, errors.New("issuer " + set.Issuer().ID() + " does not cover it")
	}
	serial, err := w.store.insert(modelRecord{set.Issuer().ID(), notBefore, notAfter, c.serial, w.now})
	if err != nil {
		return 0, err
	}
	chain, err := w.verifier.chain(w.td, set.Issuer())
	w.must(err)
	w.leaves = append(w.leaves, modelLeaf{chain, set.Issuer().ID(), notAfter})
	return serial, nil
}

// poll acknowledges the bundle that the client has, and takes the one that the replica has.
func (w *world) poll(c *modelClient) {
	c.pollAt = w.now.Add(w.within(30 * time.Second))
	if c.kind == clientSlow {
		c.pollAt = w.now.Add(w.within(30 * time.Minute))
	}
	set := w.views[w.replicas[w.rng.IntN(len(w.replicas))].sees]
	w.store.acknowledge(c.serial, min(c.sequence, set.Sequence()))
	c.sequence = max(c.sequence, set.Sequence())
	r := w.store.records[c.serial]
	if _, place, covered := set.Incident(r.issuer, modelSerial(c.serial), r.notBefore, r.notAfter); covered && place.Before(c.renewAt) {
		w.seen["renewal moved by an incident"]++
		c.renewAt = place
	}
}

// modelSerial is what a serial number of the model is in a certificate.
func modelSerial(n int) (s ca.Serial) {
	binary.BigEndian.PutUint64(s[8:], uint64(n))
	return s
}
