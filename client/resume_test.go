package client

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// versions are those of TLS that a configuration can allow.
var versions = map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13}

// resumer is two Sources that have made a session, and what may happen to them before it is
// resumed. What is good is under two roots that both trust.
type resumer struct {
	server, client   *Source
	old, next        *pki // of their certificates, and another one
	noClient, noPeer atomic.Bool
}

func newResumer() *resumer {
	r := &resumer{old: newPKI("example.org"), next: newPKI("example.org")}
	both := rootsOf(1, r.old, r.next)
	r.server = fixed(both, r.old.identity(leafTemplate("spiffe://example.org/web", time.Hour)))
	r.client = fixed(both, r.old.identity(leafTemplate("spiffe://example.org/peer", time.Hour)))
	return r
}

func unless(no *atomic.Bool) Authorizer {
	return func(Peer) error {
		if no.Load() {
			return errNotAllowed
		}
		return nil
	}
}

// renewed gives a Source a certificate of the other authority, so that it is well by itself.
func (r *resumer) renewed(s *Source, t *trust, ended bool) {
	template := leafTemplate(s.ID().String(), time.Hour)
	if ended {
		template.NotAfter = time.Now().Add(-time.Second)
	}
	s.snapshot.Store(fixedSnapshot(t, r.next.identity(template)))
}

// resumptions is what may happen between two handshakes, by a sentence, and what a side
// says of it; empty: nothing, and they resume unless it is to be a full handshake.
func resumptions() map[string]struct {
	change         func(r *resumer)
	client, server string
	full           bool
} {
	const web, peer = "spiffe://example.org/web", "spiffe://example.org/peer"
	type resumption = struct {
		change         func(r *resumer)
		client, server string
		full           bool
	}
	leaf := func(s *Source) []*x509.Certificate { return []*x509.Certificate{s.snapshot.Load().leaf()} }
	both := func(r *resumer) *trust { return r.server.snapshot.Load().trust }
	return map[string]resumption{
		"nothing changed":               {change: func(*resumer) {}},
		"the server does not allow it":  {change: func(r *resumer) { r.noClient.Store(true) }, server: "peer " + peer + ": not among those allowed"},
		"the client does not allow it":  {change: func(r *resumer) { r.noPeer.Store(true) }, client: "peer " + web + ": not among those allowed"},
		"the client's root was removed": {change: func(r *resumer) { r.renewed(r.server, rootsOf(2, r.next), false) }, server: "peer: certificate of " + peer + ": x509"},
		"the server's root was removed": {change: func(r *resumer) { r.renewed(r.client, rootsOf(2, r.next), false) }, client: "peer: certificate of " + web + ": x509"},
		"the client was revoked":        {change: func(r *resumer) { r.server.knowing(leaf(r.client)) }, server: "peer: certificate of " + peer + ": serial number "},
		"the server was revoked":        {change: func(r *resumer) { r.client.knowing(leaf(r.server)) }, client: "peer: certificate of " + web + ": serial number "},
		"the client's issuer was revoked": {change: func(r *resumer) {
			r.renewed(r.server, both(r), false)
			r.server.knowing(nil, r.old.issuer)
		}, server: "peer: certificate of " + peer + ": authority "},
		"the server's issuer was revoked": {change: func(r *resumer) {
			r.renewed(r.client, both(r), false)
			r.client.knowing(nil, r.old.issuer)
		}, client: "peer: certificate of " + web + ": authority "},
		"the server's root was revoked": {change: func(r *resumer) {
			r.renewed(r.client, both(r), false)
			r.client.knowing(nil, r.old.root)
		}, client: "peer: certificate of " + web + ": authority "},
		"the server's own identity expired": {change: func(r *resumer) { r.renewed(r.server, both(r), true) }, server: web + ": identity has expired"},
		"the client's own identity expired": {change: func(r *resumer) { r.renewed(r.client, both(r), true) }, client: peer + ": identity has expired"},
		"the server knows that it is revoked": {change: func(r *resumer) { r.server.knowing(leaf(r.server)) },
			server: "own certificate of " + web + ": serial number "},
		"the client knows that it is revoked": {change: func(r *resumer) { r.client.knowing(leaf(r.client)) },
			client: "own certificate of " + peer + ": serial number "},
		"somebody else was revoked": {change: func(r *resumer) {
			other := r.next.identity(leafTemplate("spiffe://example.org/other", time.Hour)).Leaf
			r.server.knowing([]*x509.Certificate{other})
			r.client.knowing([]*x509.Certificate{other})
		}},
		"another authority was revoked": {full: true, change: func(r *resumer) { r.server.knowing(nil, newPKI("example.org").root) }},
		"both have new certificates": {change: func(r *resumer) {
			r.renewed(r.server, both(r), false)
			r.renewed(r.client, both(r), false)
		}},
		"both have new certificates, and the root of the old ones was removed": {full: true, change: func(r *resumer) {
			r.renewed(r.server, rootsOf(2, r.next), false)
			r.renewed(r.client, rootsOf(2, r.next), false)
		}},
		"both have new certificates, and the issuer of the old ones was revoked": {full: true, change: func(r *resumer) {
			r.renewed(r.server, both(r), false)
			r.renewed(r.client, both(r), false)
			r.server.knowing(nil, r.old.issuer)
			r.client.knowing(nil, r.old.issuer)
		}},
	}
}

// TestResumedSessionsAreVerifiedAgain: identity, roots and revocations, by each side, in each
// version, with the configurations and with a listener and a dialer.
func TestResumedSessionsAreVerifiedAgain(t *testing.T) {
	for name, test := range resumptions() {
		for version, number := range versions {
			for means, connect := range map[string]func(*resumer, uint16) func() (tls.ConnectionState, error, error){
				"configurations": byConfiguration, "listener and dialer": byListener,
			} {
				t.Run(name+", "+version+", "+means, func(t *testing.T) {
					r := newResumer()
					shake := connect(r, number)
					if state, err, serverErr := shake(); err != nil || serverErr != nil || state.Version != number || state.DidResume {
						t.Fatalf("first handshake: version %#x, resumed %t, %v, %v", state.Version, state.DidResume, err, serverErr)
					}
					test.change(r)
					state, clientErr, serverErr := shake()
					if test.client == "" && test.server == "" {
						if clientErr != nil || serverErr != nil || state.DidResume == test.full || state.Version != number {
							t.Errorf("second handshake: resumed %t, %v, %v", state.DidResume, clientErr, serverErr)
						}
						return
					}
					if !contains(clientErr, test.client) || !contains(serverErr, test.server) {
						t.Errorf("second handshake: client %v, server %v", clientErr, serverErr)
					}
				})
			}
		}
	}
}

// contains reports whether an error says so, which must be one unless nothing is wanted.
func contains(err error, want string) bool {
	return want == "" || err != nil && strings.Contains(err.Error(), "pando client: "+want)
}

// byConfiguration shakes hands with the configurations, in this version.
func byConfiguration(r *resumer, version uint16) func() (tls.ConnectionState, error, error) {
	server, client := r.server.ServerTLS(unless(&r.noClient)), named(r.client.ClientTLS(unless(&r.noPeer)))
	server.MinVersion, client.MinVersion, client.MaxVersion = version, version, version
	client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	return func() (tls.ConnectionState, error, error) { return handshake(client, server) }
}

// byListener does so with those that a Listener and a Dialer make for a connection.
func byListener(r *resumer, version uint16) func() (tls.ConnectionState, error, error) {
	l := r.server.Listener(nil, ListenerConfig{Authorize: unless(&r.noClient), MinVersion: version})
	d := r.client.Dialer(DialerConfig{Authorize: unless(&r.noPeer), MinVersion: version, SessionCache: tls.NewLRUClientSessionCache(1)})
	return func() (tls.ConnectionState, error, error) {
		here, there := connect()
		w := &watched{Conn: here, source: r.client}
		config := d.config(w, webHost)
		config.MaxVersion = version
		return handshakeOver(w, &watched{Conn: there, source: r.server}, config, l.tls)
	}
}

// TestADialerResumesNoSessionThatItWouldRefuse: the server knows nothing yet of what has
// become of its certificate of before, and would resume.
func TestADialerResumesNoSessionThatItWouldRefuse(t *testing.T) {
	for version, number := range versions {
		for means, connect := range map[string]func(*resumer, uint16) func() (tls.ConnectionState, error, error){
			"configurations": byConfiguration, "listener and dialer": byListener,
		} {
			t.Run(version+", "+means, func(t *testing.T) {
				r := newResumer()
				shake := connect(r, number)
				if _, err, serverErr := shake(); err != nil || serverErr != nil {
					t.Fatal(err, serverErr)
				}
				r.renewed(r.server, r.server.snapshot.Load().trust, false)
				r.renewed(r.client, rootsOf(2, r.next), false)
				state, err, _ := shake()
				if ours := means != "configurations"; ours != (err == nil) || state.DidResume == ours {
					t.Errorf("second handshake: resumed %t, %v", state.DidResume, err)
				}
				if state, err, _ := shake(); err != nil || state.DidResume == (means == "configurations") {
					t.Errorf("third handshake: resumed %t, %v", state.DidResume, err)
				}
			})
		}
	}
}

func TestASessionIsWorthResumingUntilTheFirstCertificateEnds(t *testing.T) {
	r := newResumer()
	short := r.old.identity(leafTemplate("spiffe://example.org/peer", 10*time.Minute)).Leaf
	s := r.server.snapshot.Load()
	facts := s.sessionFacts(short)
	other := *s
	other.trust = rootsOf(2, r.next)
	for name, test := range map[string]struct {
		snapshot *snapshot
		extra    [][]byte
		at       time.Time
		want     bool
	}{
		"now":                        {s, [][]byte{facts}, time.Now(), true},
		"beside what is of others":   {s, [][]byte{[]byte("another"), facts}, time.Now(), true},
		"at its last second":         {s, [][]byte{facts}, short.NotAfter, true},
		"after it":                   {s, [][]byte{facts}, short.NotAfter.Add(time.Second), false},
		"with the longer one alone":  {s, [][]byte{s.sessionFacts(s.leaf())}, short.NotAfter.Add(time.Second), true},
		"under another bundle":       {&other, [][]byte{facts}, time.Now(), false},
		"without the facts":          {s, nil, time.Now(), false},
		"with nonsense in its place": {s, [][]byte{nil, []byte(sessionMark), facts[:len(facts)-1], append(facts, 0)}, time.Now(), false},
	} {
		if got := test.snapshot.resumes(test.extra, test.at); got != test.want {
			t.Errorf("%s: %t, want %t", name, got, test.want)
		}
	}
}
