package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// caller asks for certificates: one answer, a PEM chain, for each request.
type caller interface {
	sign(ctx context.Context, requests []request) (chains []string, err error)
	close()
}

// measurement is what one closed loop showed.
type measurement struct {
	Issued     int     `json:"issued"`
	PerSecond  float64 `json:"issued_per_second"`
	P50Millis  float64 `json:"p50_ms"`
	P99Millis  float64 `json:"p99_ms"`
	Raw        float64 `json:"raw_per_second"`
	Ratio      float64 `json:"ratio_to_raw"`
	ClientCPU  float64 `json:"client_cpu_s_per_1000"`
	ServerCPU  float64 `json:"server_cpu_s_per_1000"`
	StoreCPU   float64 `json:"postgres_cpu_s_per_1000"`
	CPURatio   float64 `json:"cpu_ratio_to_raw"`
	ServerRSS  int64   `json:"server_peak_rss_bytes"`
	Concurrent int     `json:"concurrency"`
	Batch      int     `json:"batch"`
}

// sampleEvery is how often a certificate is verified up to the root besides being parsed and
// matched. The root's P-384 signature costs ten times what the rest of a check does.
const sampleEvery = 1000

// load is a closed loop.
type load struct {
	callers  []caller // each asks again as soon as it has its answer
	requests []request
	batch    int
	roots    *x509.CertPool
}

// run keeps the loop going for d.
func (l *load) run(ctx context.Context, d time.Duration) (measurement, error) {
	var mu sync.Mutex
	var latencies []time.Duration
	issued := 0
	start := time.Now()
	deadline := start.Add(d)
	group, ctx := errgroup.WithContext(ctx)
	for w, c := range l.callers {
		group.Go(func() error {
			own, n := []time.Duration(nil), 0
			for i := w * 31; time.Now().Before(deadline); i += l.batch {
				asked := pick(l.requests, i, l.batch)
				began := time.Now()
				chains, err := c.sign(ctx, asked)
				if err != nil {
					return err
				}
				own = append(own, time.Since(began))
				if err := check(chains, asked, n, l.roots); err != nil {
					return err
				}
				n += len(chains)
			}
			mu.Lock()
			defer mu.Unlock()
			latencies, issued = append(latencies, own...), issued+n
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return measurement{}, err
	}
	slices.Sort(latencies)
	return measurement{
		Issued: issued, PerSecond: float64(issued) / time.Since(start).Seconds(),
		P50Millis: percentile(latencies, 50), P99Millis: percentile(latencies, 99),
		Concurrent: len(l.callers), Batch: l.batch,
	}, nil
}

func pick(requests []request, from, n int) []request {
	if n == 1 {
		i := from % len(requests)
		return requests[i : i+1]
	}
	picked := make([]request, n)
	for i := range picked {
		picked[i] = requests[(from+i)%len(requests)]
	}
	return picked
}

func percentile(sorted []time.Duration, p int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[min(len(sorted)*p/100, len(sorted)-1)].Microseconds()) / 1000
}

// check parses each certificate and matches it with its request; every thousandth is
// verified up to the root.
func check(chains []string, asked []request, n int, roots *x509.CertPool) error {
	if len(chains) != len(asked) {
		return fmt.Errorf("%d answers to %d requests", len(chains), len(asked))
	}
	for i, chain := range chains {
		block, rest := pem.Decode([]byte(chain))
		if block == nil {
			return errors.New("the answer is not PEM")
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return err
		}
		public, ok := cert.PublicKey.(*ecdsa.PublicKey)
		if !ok || !public.Equal(&asked[i].key.PublicKey) {
			return errors.New("the certificate is not for the key of the request")
		}
		if (n+i)%sampleEvery != 0 {
			continue
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(rest)
		if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, Intermediates: pool}); err != nil {
			return err
		}
	}
	return nil
}
