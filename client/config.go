package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/pando-ca/pando/ca/spiffeid"
)

// Config says where Pando is, why to trust it, and what to show it. Servers, a trust bundle
// and something to enrol with are required; everything else has a default.
type Config struct {
	// Servers are the base URLs of Pando's REST door, such as "https://pando.internal:8443".
	// The one that answered last is asked first; the next is asked if it does not answer.
	Servers []string

	// TrustBundle is the root or roots of Pando in PEM; TrustBundleFile names a file of
	// them, read once. Exactly one is set. Only first contact relies on it: each answer
	// brings the current bundle. The trust domain is the one in the URI SAN of the roots.
	TrustBundle     []byte
	TrustBundleFile string

	// What to enrol with is at most one of these four. None is needed while there is an
	// identity in CacheDir or Certificate.
	JoinToken     string                                    // enrols once; a lost answer can be asked for again within minutes
	JoinTokenFile string                                    // read for each enrolment; a new token in it enrols again
	JWT           func(ctx context.Context) (string, error) // called for each enrolment, never concurrently
	JWTFile       string                                    // read for each enrolment, such as a Kubernetes projected token

	// Certificate is an identity of the same CA that exists already. While it is valid the
	// Source starts with it and renews it at once; otherwise it enrols. An identity in CacheDir
	// counts instead, unless it is another's or was issued earlier.
	Certificate *tls.Certificate

	// SPIFFEID is the identity to ask for, and the only one to accept. Empty: the one that
	// the CA gives. Once there is one, it never changes within a Source.
	SPIFFEID string

	DNSNames []string      // to ask for; none: all that the CA allows
	Profile  string        // to ask for; empty: the one of the entry
	Duration time.Duration // validity to ask for, at least a second; 0: the profile's

	// KeyAlgorithm of the key that is made for each certificate; empty: ECDSAP256.
	KeyAlgorithm KeyAlgorithm

	// DialContext connects to the servers, for a proxy, a tunnel or a Unix socket. Nil: a
	// net.Dialer. What it returns is not trusted: TLS runs on top of it.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)

	// PresentExpired has handshakes go on with an identity that has expired and could not be
	// renewed; whether to accept it is for the peer to say, and a Pando peer never does. It is
	// for peers that are known not to look at the time: with it an outage that nobody noticed
	// ends in failures at the other side, and a key that was to be of use for an hour may be for
	// good. Off: such handshakes fail here, with [ErrExpired].
	PresentExpired bool

	// CacheDir is a directory for the identity and what the CA has said, so that a restart keeps
	// both, also while the CA is away. It is made with mode 0700 if it is not there, and must
	// be this user's alone. Empty: nothing is kept.
	CacheDir string

	// Metrics is told what there is to count, in place; nil: nobody is. Package client/prom
	// has one for Prometheus. To act on what happens, use Notify.
	Metrics Metrics

	// Notify is told of each [Event], in order and one at a time, by a goroutine of its own: a
	// function that is slow delays nothing but what it is told. If it lags by 100 events, the
	// oldest are dropped. A panic in it is logged. Nil: nobody is told.
	Notify func(Event)

	// Log is told of every certificate and every failure. Nil: nobody is.
	Log *slog.Logger
}

// settings is a Config that was checked.
type settings struct {
	trust *trust
	want  spiffeid.ID // zero: any
	log   *slog.Logger
	pando *pando
	cache *cacheDir // nil: none; opened by the start

	metrics Metrics // never nil
}

// Validate checks the configuration as [Open] does: it reads the trust bundle, and asks nobody.
func (c *Config) Validate() error {
	_, err := c.resolve()
	return err
}

// resolve checks the configuration as a whole and reads the trust bundle.
func (c *Config) resolve() (*settings, error) {
	t, err := c.trust()
	if err != nil {
		return nil, fmt.Errorf("trust bundle: %w", err)
	}
	credential, err := c.credential()
	if err != nil {
		return nil, err
	}
	servers, err := baseURLs(c.Servers)
	if err != nil {
		return nil, err
	}
	want, err := c.identity(t)
	if err != nil {
		return nil, err
	}
	switch {
	case !c.KeyAlgorithm.valid():
		return nil, fmt.Errorf("unknown key algorithm %q", c.KeyAlgorithm)
	case c.Duration != 0 && c.Duration < time.Second:
		return nil, fmt.Errorf("duration %s is under one second", c.Duration)
	}
	log, dial, metrics := c.Log, c.DialContext, Metrics(nobody{})
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if c.Metrics != nil {
		metrics = shieldedMetrics{c.Metrics, log}
	}
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	return &settings{trust: t, want: want, log: log, metrics: metrics, pando: &pando{
		servers: servers, dial: shieldedDial(dial), credential: credential, algorithm: c.KeyAlgorithm,
		attempted: metrics.Renewal,
		request: signRequest{
			SPIFFEID: want.String(), DNSNames: c.DNSNames, Profile: c.Profile, Duration: wireDuration(c.Duration),
		},
	}}, nil
}

func (c *Config) trust() (*trust, error) {
	pem := c.TrustBundle
	switch {
	case len(pem) > 0 && c.TrustBundleFile != "":
		return nil, errors.New("both TrustBundle and TrustBundleFile are set")
	case len(pem) == 0 && c.TrustBundleFile == "":
		return nil, errors.New("neither TrustBundle nor TrustBundleFile is set")
	case c.TrustBundleFile != "":
		var err error
		if pem, err = os.ReadFile(c.TrustBundleFile); err != nil {
			return nil, err
		}
	}
	return configuredTrust(pem)
}

func (c *Config) identity(t *trust) (spiffeid.ID, error) {
	if c.SPIFFEID == "" {
		return spiffeid.ID{}, nil
	}
	id, err := spiffeid.Parse(c.SPIFFEID)
	if err != nil {
		return spiffeid.ID{}, err
	}
	if !id.MemberOf(t.domain) {
		return spiffeid.ID{}, fmt.Errorf("%s is not in trust domain %s of the trust bundle", id, t.domain)
	}
	return id, nil
}

// baseURLs checks the servers' URLs. Anything but HTTPS would give the credential away.
func baseURLs(servers []string) ([]string, error) {
	if len(servers) == 0 {
		return nil, errors.New("no servers")
	}
	urls := make([]string, len(servers))
	for i, server := range servers {
		u, err := url.Parse(server)
		if err != nil {
			return nil, fmt.Errorf("server: %w", err)
		}
		if u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return nil, fmt.Errorf("server %q: want https://host[:port]", u.Redacted())
		}
		urls[i] = strings.TrimRight(u.String(), "/")
	}
	return urls, nil
}
