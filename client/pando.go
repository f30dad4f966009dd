package client

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/pando-ca/pando/ca/spiffeid"
)

const (
	signPath  = "/v1/certificates"
	renewPath = "/v1/certificates/renew"
)

// pando is the CA as renewal sees it. It is used by one goroutine at a time, which makes
// one renewal in flight a fact rather than a rule.
type pando struct {
	servers    []string // base URLs
	dial       dialFunc
	credential credential
	algorithm  KeyAlgorithm
	request    signRequest // without its CSR
	attempted  func(error) // is told how each try went

	preferred int // index of the server that answered last

	// The join token that is being used, and the key that it enrols: if the answer is lost,
	// the server repeats it for the same key only.
	token string
	key   crypto.Signer
	spent bool // the token has enrolled
}

// call is one question to the CA. Its trust is what the answer must be of; a certificate
// that it presents is the one that is to be renewed.
type call struct {
	contact
	path    string
	request signRequest
	bearer  string // instead of a certificate
	key     crypto.Signer
	want    spiffeid.ID // zero: any
}

// enrol obtains a certificate with the configured credential.
func (p *pando) enrol(ctx context.Context, c contact, want spiffeid.ID) (*snapshot, error) {
	bearer, err := p.credential.bearer(ctx)
	if err != nil {
		return nil, err
	}
	key, err := p.keyFor(bearer)
	if err != nil {
		return nil, err
	}
	s, err := p.ask(ctx, call{path: signPath, request: p.request, bearer: bearer, contact: c, key: key, want: want})
	if err != nil {
		return nil, fmt.Errorf("enrol: %w", err)
	}
	p.spent = p.credential.once
	s.asked = p.request.fingerprint()
	return s, nil
}

// renew obtains the successor of a certificate that is still valid.
func (p *pando) renew(ctx context.Context, cur *snapshot) (*snapshot, error) {
	ctx, cancel := context.WithDeadline(ctx, cur.leaf().NotAfter)
	defer cancel()
	key, err := p.algorithm.newKey()
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	s, err := p.ask(ctx, call{path: renewPath, contact: cur.contact(), key: key, want: cur.id})
	if err != nil {
		return nil, fmt.Errorf("renew: %w", err)
	}
	s.asked = cur.asked
	return s, nil
}

// outdated reports whether the configuration asks for other names or another profile than the
// certificate was asked for with, and there is something to enrol with. Renewal keeps what the
// certificate has.
func (p *pando) outdated(cur *snapshot) bool {
	return cur.asked != "" && cur.asked != p.request.fingerprint() && p.credential.read != nil
}

// keyFor makes a key for an enrolment, or returns the one that this join token was sent
// with before.
func (p *pando) keyFor(bearer string) (crypto.Signer, error) {
	if p.credential.once && bearer == p.token {
		if p.spent {
			return nil, errors.New("the join token is used; a new one is needed to enrol again")
		}
		return p.key, nil
	}
	key, err := p.algorithm.newKey()
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	if p.credential.once {
		p.token, p.key, p.spent = bearer, key, false
	}
	return key, nil
}

// ask asks the servers in turn until one gives a good certificate or refuses. A server that
// cannot be reached, fails, or answers nonsense does not stop the next from being asked.
func (p *pando) ask(ctx context.Context, c call) (*snapshot, error) {
	var err error
	if c.request.CSR, err = newCSR(c.key); err != nil {
		return nil, err
	}
	body, err := json.Marshal(c.request)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	var failure error
	for i := range p.servers {
		n := (p.preferred + i) % len(p.servers)
		bounded, cancel := context.WithTimeout(ctx, patience(ctx, len(p.servers)-i))
		s, err := p.exchange(bounded, p.servers[n], c, body)
		cancel()
		if err == nil {
			p.preferred = n
			return s, nil
		}
		failure = also(failure, err)
		if ctx.Err() != nil || refused(err) {
			break
		}
	}
	return nil, failure
}

// patience is how long one server may take when this many are left to ask, itself included.
// Each gets a share of the time that is left, and as much stays over: a server that swallows
// packets must not use up the life of a certificate while another one would answer.
func patience(ctx context.Context, servers int) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return exchangeTimeout
	}
	return min(exchangeTimeout, time.Until(deadline)/time.Duration(servers+1))
}

// also adds what the next server did to what the ones before it did.
func also(failure, err error) error {
	if failure == nil {
		return err
	}
	return fmt.Errorf("%w; %w", failure, err)
}

// refused reports whether a server understood and said no. The others would say the same,
// and one that limits its callers is not to be worked round.
func refused(err error) bool {
	var refusal *ServerError
	return errors.As(err, &refusal) && refusal.Status >= 400 && refusal.Status < 500
}
