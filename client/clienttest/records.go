package clienttest

import (
	"crypto"
	"crypto/x509"
	"net/http"
	"time"

	"github.com/pando-ca/pando/ca/spiffeid"
)

const (
	profile     = "workload"
	maxLifetime = 24 * time.Hour // of the profile workload, for a client that asks for one
)

// wanted is a certificate that is to be issued.
type wanted struct {
	id       spiffeid.ID
	dnsNames []string
	key      crypto.PublicKey
	lifetime time.Duration // 0: that of the CA
	replaces *record       // nil: it is the first
}

// record is what the CA knows of a certificate that it has issued. The CA's mutex guards it.
type record struct {
	number       int // in the order of issue
	id           spiffeid.ID
	leaf         *x509.Certificate
	issuer       *authority
	start, end   time.Time // renewal window
	revoked      bool
	superseded   bool   // its holder has another one
	acknowledged uint64 // the bundle that its holder is on; 0: it has not followed
}

// issue signs a certificate and records it. The caller holds mu.
func (c *CA) issue(w wanted) (*record, error) {
	now := c.now()
	if w.lifetime == 0 {
		w.lifetime = c.lifetime
	}
	leaf := c.leaf(w, now)
	if leaf.NotAfter.After(c.issuer().certificate.NotAfter) {
		return nil, &refusal{status: http.StatusForbidden, code: "policy_denied", rule: "duration", detail: "the certificate would outlive the issuer"}
	}
	r := &record{number: len(c.records), id: w.id, leaf: leaf, issuer: c.issuer()}
	lifetime := leaf.NotAfter.Sub(leaf.NotBefore)
	r.start = leaf.NotBefore.Add(time.Duration(c.renewAt * float64(lifetime)))
	r.end = r.start.Add(lifetime / 10)
	c.records[serialText(leaf)] = r
	if w.replaces != nil {
		w.replaces.superseded = true
	}
	return r, nil
}

// live reports whether a certificate is neither expired nor revoked. The caller holds mu.
func (c *CA) live(r *record) bool { return !r.revoked && !c.now().After(r.leaf.NotAfter) }

// Holder is a live certificate of the CA, and how far its holder is.
type Holder struct {
	ID           spiffeid.ID
	Certificate  *x509.Certificate // shared: do not change it
	Serial       string            // as 38 hex digits
	Issuer       string            // ID of the intermediate, as 16 hex digits
	RenewalDue   time.Time         // by the CA's clock
	Superseded   bool              // its holder has renewed it
	Acknowledged uint64            // sequence of the trust bundle that its holder said it is on; 0: it has said nothing
}

// Holders returns the certificates that are neither expired nor revoked, in the order in which
// they were issued. Each poll acknowledges the bundle that it names, for the certificate that it was
// made with.
func (c *CA) Holders() []Holder {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []Holder
	for _, r := range c.sorted() {
		if c.live(r) {
			all = append(all, Holder{
				ID: r.id, Certificate: r.leaf, Serial: serialText(r.leaf), Issuer: r.issuer.id(),
				RenewalDue: r.start, Superseded: r.superseded, Acknowledged: r.acknowledged,
			})
		}
	}
	return all
}

// RenewNow moves the renewal window of every live certificate to now, as an incident does. Sources
// that follow the CA renew at once.
func (c *CA) RenewNow() {
	c.change(func() { c.due(func(*record) bool { return true }) })
}

// due moves the window of some live certificates to now. The caller holds mu.
func (c *CA) due(which func(*record) bool) {
	now := c.now()
	for _, r := range c.records {
		if c.live(r) && which(r) && r.start.After(now) {
			r.start, r.end = now, now.Add(r.leaf.NotAfter.Sub(now)/10)
		}
	}
}

// Revoke revokes the unexpired certificates that have a serial number (38 hex digits) or a SPIFFE ID,
// and returns how many these are. Sources that follow the CA know of it at once. Whoever has a
// credential may enrol again.
func (c *CA) Revoke(serialOrID string) (revoked int) {
	c.change(func() {
		for _, r := range c.sorted() {
			serial := serialText(r.leaf)
			if c.live(r) && (serial == serialOrID || r.id.String() == serialOrID) {
				r.revoked = true
				c.revoked = append(c.revoked, serial)
				revoked++
			}
		}
	})
	return revoked
}
