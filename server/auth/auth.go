package auth

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pando-ca/pando/ca/policy"
)

// Peers verifies client certificates. Peer gets the chain as it was presented, leaf first and
// never empty, and must check everything: signatures, validity at now, usage, SPIFFE ID. It
// does not judge revocation. It is called concurrently.
type Peers interface {
	Peer(chain []*x509.Certificate, now time.Time) (policy.Peer, error)
}

// Tokens finds a join token by the SHA-256 of its text, and reports false for one that does
// not exist. An error means that nobody can tell now. It is called concurrently.
type Tokens interface {
	JoinToken(ctx context.Context, hash [32]byte) (policy.JoinToken, bool, error)
}

// Observer is told of every refusal except [ReasonNoCredentials]: where nothing was shown,
// nothing failed. It must not block.
type Observer interface {
	AuthnFailed(method policy.Method, reason Reason)
}

// Config is what an Authenticator needs. Peers and Tokens are required.
type Config struct {
	Peers   Peers
	Tokens  Tokens
	Issuers []*Issuer // of JWTs, with distinct names and iss values; none: JWTs are refused

	// Refused bearer credentials that one address may show per second, and at once; then its
	// bearer credentials are refused unseen. 0: 10 per second, 50 at once. A negative rate: no limit.
	FailureRate  float64
	FailureBurst int

	Observer Observer     // none: nothing is told
	Log      *slog.Logger // none: discarded
}

// Credentials are what a request shows of its sender. Zero fields were not shown.
type Credentials struct {
	Chain   []*x509.Certificate // TLS client certificate, leaf first, not yet verified
	Bearer  string              // see [BearerToken]
	Address string              // network address without the port
}

// Authenticator turns credentials into callers. It is safe for concurrent use. Run must be
// running for it to keep the keys of the issuers fresh.
type Authenticator struct {
	peers    Peers
	tokens   Tokens
	issuers  map[string]*Issuer // by iss
	parser   *jwt.Parser
	failures *failures
	observer Observer
	log      *slog.Logger
}

// New returns an Authenticator.
func New(cfg Config) (*Authenticator, error) {
	if cfg.Peers == nil || cfg.Tokens == nil {
		return nil, errors.New("auth: the configuration lacks peers or tokens")
	}
	a := &Authenticator{
		peers: cfg.Peers, tokens: cfg.Tokens, issuers: make(map[string]*Issuer), parser: newParser(),
		failures: newFailures(cfg.FailureRate, cfg.FailureBurst),
		observer: cfg.Observer, log: cfg.Log,
	}
	if a.observer == nil {
		a.observer = silent{}
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	names := make(map[string]bool)
	for _, i := range cfg.Issuers {
		switch {
		case names[i.name]:
			return nil, fmt.Errorf("auth: issuer %q is configured twice", i.name)
		case a.issuers[i.issuer] != nil:
			// Which of the two a token is of could only be guessed from its key ID.
			return nil, fmt.Errorf("auth: issuers %q and %q have the same iss %q", a.issuers[i.issuer].name, i.name, i.issuer)
		}
		names[i.name] = true
		a.issuers[i.issuer] = i
	}
	return a, nil
}

// Authenticate returns the caller whose credentials are shown, proven as of now, or an *Error.
func (a *Authenticator) Authenticate(ctx context.Context, c Credentials, now time.Time) (policy.Caller, error) {
	var caller policy.Caller
	var method policy.Method
	var err error
	switch {
	case strings.HasPrefix(c.Bearer, joinTokenPrefix):
		method = policy.MethodJoinToken
		caller, err = a.bearer(ctx, c, now, a.joinToken)
	case c.Bearer != "":
		method = policy.MethodJWT
		caller, err = a.bearer(ctx, c, now, a.jwt)
	case len(c.Chain) > 0:
		method = policy.MethodPeer
		caller, err = a.peer(c.Chain, now)
	default:
		return policy.Caller{}, refuse(ReasonNoCredentials, "credentials are required")
	}
	if err != nil {
		return policy.Caller{}, a.refused(method, err)
	}
	caller.Method, caller.Address = method, c.Address
	return caller, nil
}

// bearer judges a bearer credential unless too many from the same address were refused of late.
func (a *Authenticator) bearer(ctx context.Context, c Credentials, now time.Time,
	judge func(context.Context, string, time.Time) (policy.Caller, error),
) (policy.Caller, error) {
	if wait := a.failures.wait(c.Address, now); wait > 0 {
		e := refuse(ReasonRateLimited, "too many refused credentials from this address")
		e.RetryAfter = wait
		return policy.Caller{}, e
	}
	caller, err := judge(ctx, c.Bearer, now)
	if err != nil && !isReason(err, ReasonUnavailable) {
		a.failures.count(c.Address, now)
	}
	return caller, err
}

// refused completes a refusal and tells the observer of it.
func (a *Authenticator) refused(method policy.Method, err error) error {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Reason: ReasonMalformed, Message: "the credentials are malformed", Err: err}
	}
	e.Method = method
	a.observer.AuthnFailed(method, e.Reason)
	return e
}

func isReason(err error, reason Reason) bool {
	var e *Error
	return errors.As(err, &e) && e.Reason == reason
}

// Run keeps the keys of the issuers fresh until ctx ends. It returns when all that it started
// is gone.
func (a *Authenticator) Run(ctx context.Context) error {
	var group errgroup.Group
	for _, i := range a.issuers {
		group.Go(func() error {
			i.keys.run(ctx, a.log.With("issuer", i.name))
			return nil
		})
	}
	return group.Wait()
}

// silent is the Observer of an authenticator that nobody observes.
type silent struct{}

func (silent) AuthnFailed(policy.Method, Reason) {}
