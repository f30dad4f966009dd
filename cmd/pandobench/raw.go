package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// request is a CSR with the public key that the answer must carry.
type request struct {
	der []byte
	key *ecdsa.PrivateKey
}

// newRequests makes n P-256 CSRs that name nothing: the identity comes from the caller.
func newRequests(n int) ([]request, error) {
	requests := make([]request, n)
	for i := range requests {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
		if err != nil {
			return nil, err
		}
		requests[i] = request{der, key}
	}
	return requests, nil
}

// measureRaw is the limit that no service on this machine can exceed: on every core, parse a
// CSR, verify its P-256 signature and create a P-256 certificate, with no I/O at all. It
// returns certificates per second, and CPU seconds per certificate.
func measureRaw(ctx context.Context, requests []request, d time.Duration) (rate, cpu float64, err error) {
	issuerKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return 0, 0, err
	}
	issuer := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "raw"}, IsCA: true,
		BasicConstraintsValid: true, NotAfter: time.Now().Add(time.Hour), SubjectKeyId: []byte{1},
	}
	var count atomic.Int64
	before, start := ownCPU(), time.Now()
	deadline := start.Add(d)
	var group errgroup.Group
	for worker := range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			for i := worker; time.Now().Before(deadline) && ctx.Err() == nil; i++ {
				if err := rawSign(requests[i%len(requests)].der, issuer, issuerKey); err != nil {
					return err
				}
				count.Add(1)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return 0, 0, fmt.Errorf("raw limit: %w", err)
	}
	n := float64(count.Load())
	return n / time.Since(start).Seconds(), (ownCPU() - before).Seconds() / n, ctx.Err()
}

func rawSign(der []byte, issuer *x509.Certificate, key *ecdsa.PrivateKey) error {
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return err
	}
	if err := csr.CheckSignature(); err != nil {
		return err
	}
	now := time.Now()
	_, err = x509.CreateCertificate(rand.Reader, &x509.Certificate{
		NotBefore: now, NotAfter: now.Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, issuer, csr.PublicKey, key)
	return err
}
