package clienttest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/client"
)

const (
	// DefaultTrustDomain is the trust domain of a CA whose options name none.
	DefaultTrustDomain = "example.org"

	// memoryHost is where a CA is in its network.
	memoryHost = "pando.test:8443"

	// maxOpen is how long Open tries: a CA in memory answers at once unless it is told not to.
	maxOpen = time.Minute

	// tokenLife is how long a join token can be used, as with Pando where nobody says.
	tokenLife = 10 * time.Minute

	// repeatWindow is how long after a join token enrolled the same key gets the same answer.
	repeatWindow = 5 * time.Minute
)

// Options says how a [CA] is to be. The zero value is right for most tests.
type Options struct {
	// TrustDomain is the name of the trust domain; empty: [DefaultTrustDomain].
	TrustDomain string

	// Lifetime of certificates for which the client asks no other, at least a second; 0: an
	// hour. Outside of a bubble seconds make a test see renewals and expiry.
	Lifetime time.Duration

	// RenewAt is where in the lifetime of a certificate its renewal window starts, between 0
	// and 1; 0: in the middle. Pando spreads windows, the double does not: a test can name
	// the instant.
	RenewAt float64

	// Loopback serves on 127.0.0.1 for programs that cannot be given a DialContext. It does not
	// work in a bubble of testing/synctest, where a real connection is never idle.
	Loopback bool
}

// CA is a double of Pando: a certificate authority and its server, in memory. It is made by [New]
// or [Start] and safe for concurrent use.
type CA struct {
	domain  spiffeid.TrustDomain
	network *Network
	url     string
	dial    func(ctx context.Context, network, address string) (net.Conn, error) // nil: the usual one
	gate    *gate
	server  *http.Server
	served  sync.WaitGroup // of the one who accepts

	connections sync.WaitGroup

	mu       sync.Mutex // guards all that follows
	skew     time.Duration
	lifetime time.Duration
	renewAt  float64
	faults   faults
	requests []*Request
	tokens   map[string]*token
	changed  chan struct{} // closed and replaced when there may be something to tell

	authorities
	records     map[string]*record // by serial number
	revoked     []string           // serial numbers, in the order of their revocation
	revokedKeys []string           // of authorities
	modes       modes
}

// token is a credential that somebody was given.
type token struct {
	id      spiffeid.ID
	expires time.Time
	once    bool // a join token: the same key may ask again
	used    bool
	usedAt  time.Time
	key     [sha256.Size]byte // of the request that it was used with
	serial  string            // of what it got
}

// New starts a CA that is closed when the test ends. In a bubble it belongs to that bubble.
func New(tb testing.TB, o Options) *CA {
	tb.Helper()
	c := Start(o)
	tb.Cleanup(c.Close)
	return c
}

// Start starts a CA for what has no [testing.TB], such as an Example; it must be closed. It
// panics in a program that is not a test binary, and if an option makes no sense.
func Start(o Options) *CA {
	if !testing.Testing() {
		panic("clienttest: this is a test double of a CA: it gives an identity to whoever asks, and runs in test binaries only")
	}
	if o.TrustDomain == "" {
		o.TrustDomain = DefaultTrustDomain
	}
	c := &CA{
		domain: must(spiffeid.ParseTrustDomain(o.TrustDomain)), network: NewNetwork(),
		tokens: make(map[string]*token), records: make(map[string]*record), changed: make(chan struct{}),
		lifetime: time.Hour, renewAt: 0.5,
	}
	if o.Lifetime != 0 {
		c.SetLifetime(o.Lifetime)
	}
	if o.RenewAt != 0 {
		c.SetRenewAt(o.RenewAt)
	}
	c.found(c.domain, time.Now())
	c.listen(o.Loopback)
	return c
}

// listen opens the door.
func (c *CA) listen(loopback bool) {
	var inner net.Listener
	if loopback {
		inner = must(net.Listen("tcp", "127.0.0.1:0"))
	} else {
		inner = must(c.network.Listen(memoryHost))
		c.dial = c.network.DialContext
	}
	c.url = "https://" + inner.Addr().String()
	c.gate = newGate(inner)
	c.server = &http.Server{
		Handler: http.HandlerFunc(c.serve), ErrorLog: log.New(io.Discard, "", 0),
		ReadHeaderTimeout: maxWait, ConnState: c.connection,
		TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert, // verified by the handler, as Pando does
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.serving(), nil },
		},
	}
	c.served.Go(func() { c.server.ServeTLS(c.gate, "", "") }) //nolint:errcheck // it ends by Close
}

// connection counts the connections that are being served.
func (c *CA) connection(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		c.connections.Add(1)
	case http.StateClosed:
		c.connections.Done()
	}
}

// Close stops the CA, cuts its connections, and returns when nothing of it is running any more.
// Connections and listeners of the program in its [Network] are the program's to close.
func (c *CA) Close() {
	c.gate.shut(true)
	c.server.Close()
	c.served.Wait()
	c.connections.Wait()
}

// Config returns a configuration with which [client.Open] gets an identity of this CA, and gets it
// again if it was lost: the credential is a JWT that is new each time. It panics unless id is a
// SPIFFE ID of a workload of the trust domain.
func (c *CA) Config(id string) client.Config {
	return client.Config{
		Servers: []string{c.url}, TrustBundle: c.Bundle(), JWT: c.JWT(id), SPIFFEID: id, DialContext: c.dial,
	}
}

// Open opens an identity that is closed when the test ends, or fails the test.
func (c *CA) Open(tb testing.TB, id string) *client.Source {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), maxOpen)
	defer cancel()
	source, err := client.Open(ctx, c.Config(id))
	if err != nil {
		tb.Fatalf("clienttest: %v", err)
	}
	tb.Cleanup(func() { source.Close() })
	return source
}

// JWT returns a source of tokens for an identity, for [client.Config.JWT]: each enrols once. They
// look like JWTs (RFC 7519) and hold nothing.
func (c *CA) JWT(id string) func(context.Context) (string, error) {
	parsed := c.workload(id)
	return func(context.Context) (string, error) {
		return c.newToken(parsed, false, random(9)+"."+random(9)+"."+random(32)), nil
	}
}

// JoinToken returns a token that enrols one key for an identity, within ten minutes, for
// [client.Config.JoinToken].
func (c *CA) JoinToken(id string) string {
	return c.newToken(c.workload(id), true, "pjt_"+random(32))
}

func (c *CA) newToken(id spiffeid.ID, once bool, text string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tokens[text] = &token{id: id, once: once, expires: c.now().Add(tokenLife)}
	return text
}

// workload parses the ID of a workload, and panics if it is none of this trust domain: IDs are
// written by programmers.
func (c *CA) workload(id string) spiffeid.ID {
	parsed := must(spiffeid.Parse(id))
	if !parsed.MemberOf(c.domain) || parsed.Path() == "" {
		panic(fmt.Sprintf("clienttest: %s is no workload of trust domain %s", id, c.domain))
	}
	return parsed
}

// Certificate issues a certificate with a new key, as if its holder had enrolled: for a peer that
// has no [client.Source], or for [client.Config.Certificate].
func (c *CA) Certificate(id string) *tls.Certificate {
	parsed := c.workload(id)
	key := newKey()
	c.mu.Lock()
	defer c.mu.Unlock()
	r := must(c.issue(wanted{id: parsed, key: key.Public()}))
	return c.pair(r.leaf, key, r.issuer)
}

// URL is the base URL of the server, for [client.Config.Servers].
func (c *CA) URL() string { return c.url }

// Network is where the server is, unless it is on loopback. The program under test can have its
// own listeners and connections there, so that all of it keeps to the clock of a bubble.
func (c *CA) Network() *Network { return c.network }

// TrustDomain is the trust domain of every identity that the CA gives.
func (c *CA) TrustDomain() spiffeid.TrustDomain { return c.domain }

// Bundle returns the roots of now in PEM, for [client.Config.TrustBundle].
func (c *CA) Bundle() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return []byte(encodePEM(c.published()...))
}

// Roots returns the roots of now.
func (c *CA) Roots() []*x509.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.published()
}

// Sequence returns the sequence of the trust bundle of now.
func (c *CA) Sequence() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sequence
}

// SetLifetime sets the lifetime of the certificates that are issued from now on, at least a
// second. It panics on less.
func (c *CA) SetLifetime(d time.Duration) {
	if d < time.Second {
		panic(fmt.Sprintf("clienttest: lifetime %s is under one second", d))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lifetime = d
}

// SetRenewAt sets where in the lifetime of the certificates that are issued from now on the
// renewal window starts. It panics unless it is between 0 and 1.
func (c *CA) SetRenewAt(fraction float64) {
	if fraction <= 0 || fraction >= 1 {
		panic(fmt.Sprintf("clienttest: renewal at %v of the lifetime", fraction))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.renewAt = fraction
}

// Skew sets the CA's clock: d ahead of everybody else's, behind if d is negative. It dates
// certificates, windows and tokens, and judges certificates, by it.
func (c *CA) Skew(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skew = d
}

// now is the time by the CA's clock. The caller holds mu.
func (c *CA) now() time.Time { return time.Now().Add(c.skew) }

// change changes something and wakes the polls that wait.
func (c *CA) change(edit func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	edit()
	c.wake()
}

// wake has all who wait look again. The caller holds mu.
func (c *CA) wake() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// sorted returns the records in the order of their issue. The caller holds mu.
func (c *CA) sorted() []*record {
	return slices.SortedFunc(maps.Values(c.records), func(a, b *record) int { return a.number - b.number })
}

// random returns n random octets in unpadded base64 for URLs.
func random(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// must returns v, and panics on an error: what is wrong is the test, or the machine.
func must[T any](v T, err error) T {
	if err != nil {
		panic(fmt.Sprintf("clienttest: %v", err))
	}
	return v
}
