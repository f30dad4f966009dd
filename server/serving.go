package server

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/ca/spiffeid"
)

// ServingID is the SPIFFE ID under which the servers of a trust domain show themselves. It
// is what clients expect of the doors.
func ServingID(td spiffeid.TrustDomain) (spiffeid.ID, error) {
	return spiffeid.Join(td, "pando", "server")
}

// servingRetry is the wait after a failed renewal. The window leaves a tenth of the lifetime
// at the least, of which this is a small part for every lifetime in earnest use.
const servingRetry = 5 * time.Second

// ServingConfig is how a replica's own certificate looks.
type ServingConfig struct {
	DNSNames []string      // names under which clients that verify names reach the doors
	Profile  string        // "": workload
	Duration time.Duration // 0: the profile's
	Address  string        // recorded as the caller's address, such as the host name
	Log      *slog.Logger  // none: discarded
}

// Serving is the certificate that a replica shows at its doors: issued by the service itself,
// recorded like any other, with a key that never leaves the process, and renewed in its window,
// or as soon as it is revoked.
type Serving struct {
	service *Service
	cfg     ServingConfig
	current atomic.Pointer[servingCertificate]
}

type servingCertificate struct {
	certificate tls.Certificate
	issuer      string
	profile     string
	serial      ca.Serial
}

// due is when the certificate is to be renewed under this generation. An incident may move it, and
// what nobody trusts any more is due at once.
func (c *servingCertificate) due(set *ca.Set, renewAt float64) time.Time {
	leaf := c.certificate.Leaf
	if a, ok := set.Authority(c.issuer); !ok || a.State() == ca.StateRevoked {
		return time.Time{}
	}
	return set.Window(c.issuer, c.serial, leaf.NotBefore, leaf.NotAfter, renewAt).Start
}

// NewServing issues the first certificate, so that a server that cannot sign does not start.
func NewServing(ctx context.Context, service *Service, cfg ServingConfig) (*Serving, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Serving{service: service, cfg: cfg}
	return s, s.renew(ctx)
}

// Certificate is for [tls.Config.GetCertificate]. It does not block.
func (s *Serving) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return &s.current.Load().certificate, nil
}

// Leaf is the parsed certificate that is shown now. It is shared: do not modify it.
func (s *Serving) Leaf() *x509.Certificate { return s.current.Load().certificate.Leaf }

// Run renews the certificate until ctx ends. A failure is logged and tried again: the last
// good certificate stays.
func (s *Serving) Run(ctx context.Context) error {
	for {
		if err := s.sleep(ctx); err != nil {
			return nil //nolint:nilerr // the end of ctx is the end of the work
		}
		for {
			err := s.renew(ctx)
			if err == nil {
				break
			}
			if ctx.Err() == nil {
				s.cfg.Log.ErrorContext(ctx, "serving certificate not renewed", "error", err,
					"not_after", s.Leaf().NotAfter)
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(s.retry()):
			}
		}
	}
}

// retry is the wait after a failed renewal: a small part of the lifetime, which may be seconds.
func (s *Serving) retry() time.Duration {
	leaf := s.Leaf()
	return min(servingRetry, leaf.NotAfter.Sub(leaf.NotBefore)/20)
}

// servingNap bounds how long a change of the clock, or a machine that was suspended, goes
// unnoticed: timers count the time that the machine is awake.
const servingNap = time.Minute

// sleep returns nil when the certificate is due or revoked, and an error when ctx has ended.
func (s *Serving) sleep(ctx context.Context) error {
	for {
		revocations, trust, current := s.service.revoked.view(), s.service.trust.Load(), s.current.Load()
		if s.service.revoked.has(current.serial) {
			return ctx.Err()
		}
		wait := time.Until(current.due(trust.set, s.service.renewAt(current.profile)).Round(0)) // by the wall clock
		if wait <= 0 {
			return ctx.Err()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-revocations.changed:
		case <-trust.next: // the generation may have moved it
		case <-time.After(min(wait, servingNap)):
		}
	}
}

func (s *Serving) renew(ctx context.Context) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("serving key: %w", err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return fmt.Errorf("serving CSR: %w", err)
	}
	id, err := ServingID(s.service.Set().TrustDomain())
	if err != nil {
		return err
	}
	caller := policy.Caller{Method: policy.MethodInternal, Subject: "pando", Address: s.cfg.Address}
	if before := s.current.Load(); before != nil {
		caller.Serial = before.serial // which is replaced, so that nothing waits for it
	}
	want := policy.Want{ID: id, DNSNames: s.cfg.DNSNames, Profile: s.cfg.Profile, Duration: s.cfg.Duration}
	issued, err := s.service.issue(ctx, caller, Request{CSR: csr, Want: want}, time.Now())
	if err != nil {
		return fmt.Errorf("serving certificate: %w", err)
	}
	certificate, err := keyPair(issued.Chain, key)
	if err != nil {
		return fmt.Errorf("serving certificate: %w", err)
	}
	serial, ok := ca.SerialOf(certificate.Leaf)
	if !ok {
		return errors.New("serving certificate: its serial number is not one of this CA")
	}
	s.current.Store(&servingCertificate{certificate, issued.Issuer, issued.Profile, serial})
	return nil
}

// keyPair joins a PEM chain and its key.
func keyPair(chain string, key crypto.Signer) (tls.Certificate, error) {
	pair := tls.Certificate{PrivateKey: key}
	for rest := []byte(chain); len(bytes.TrimSpace(rest)) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return pair, errors.New("chain is not PEM")
		}
		pair.Certificate = append(pair.Certificate, block.Bytes)
	}
	if len(pair.Certificate) == 0 {
		return pair, errors.New("chain is empty")
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	pair.Leaf = leaf
	return pair, err
}
