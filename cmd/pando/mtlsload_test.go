package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pando-ca/pando/client"
)

// mtlsLoad is pairs of workloads: of each, one asks the other without a pause.
type mtlsLoad struct {
	start   time.Time
	sources []*client.Source
	servers []*http.Server
	end     context.CancelFunc
	asking  sync.WaitGroup
	serving sync.WaitGroup

	requests, handshakes, failed atomic.Int64

	mu      sync.Mutex
	swaps   []swap
	reasons []string
}

// swap is a snapshot that a workload has come to have.
type swap struct {
	workload int
	at       time.Time
	status   client.Status
}

// startLoad enrols a workload with each token, and has them talk.
func startLoad(t *testing.T, servers []string, data string, tokens []string) *mtlsLoad {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &mtlsLoad{start: time.Now(), end: cancel}
	t.Cleanup(func() { l.stop(t) })
	for i, token := range tokens {
		if i%2 == 1 {
			servers = []string{servers[1], servers[0]}
		}
		source := openWorkload(t, client.Config{Servers: servers, TrustBundleFile: filepath.Join(data, caBundleName), JoinToken: token})
		l.sources = append(l.sources, source)
		l.asking.Go(func() { l.watch(ctx, i, source) })
	}
	for i := 0; i+1 < len(l.sources); i += 2 {
		l.pair(ctx, t, l.sources[i], l.sources[i+1])
	}
	return l
}

// openWorkload enrols one workload.
func openWorkload(t *testing.T, cfg client.Config) *client.Source {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	source, err := client.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// watch notes each snapshot that a workload has.
func (l *mtlsLoad) watch(ctx context.Context, workload int, s *client.Source) {
	for status := range s.Updates(ctx) {
		l.mu.Lock()
		l.swaps = append(l.swaps, swap{workload, time.Now(), status})
		l.mu.Unlock()
	}
}

// seen is the snapshots that the workloads had up to now, in the order of their coming.
func (l *mtlsLoad) seen() []swap {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]swap(nil), l.swaps...)
}

// pair has one workload ask the other, half of the time with a new handshake.
func (l *mtlsLoad) pair(ctx context.Context, t *testing.T, asks, answers *client.Source) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	answering := &http.Server{
		Handler:   http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
		TLSConfig: answers.ServerTLS(client.AuthorizeID(asks.ID())),
		ErrorLog:  log.New(loadFailures{l}, "", 0),
	}
	l.servers = append(l.servers, answering)
	l.serving.Go(func() { _ = answering.ServeTLS(listener, "", "") })
	for _, kept := range []bool{true, false} {
		transport := &http.Transport{TLSClientConfig: asks.ClientTLS(client.AuthorizeID(answers.ID())), DisableKeepAlives: !kept}
		c := &http.Client{Transport: transport, Timeout: 20 * time.Second}
		l.asking.Go(func() {
			defer transport.CloseIdleConnections()
			for ctx.Err() == nil {
				l.ask(c, "https://"+listener.Addr().String(), !kept)
				select { // some hundred requests a second leave the machine usable
				case <-ctx.Done():
				case <-time.After(20 * time.Millisecond):
				}
			}
		})
	}
}

// ask makes one request.
func (l *mtlsLoad) ask(c *http.Client, url string, handshake bool) {
	resp, err := c.Get(url)
	if err != nil {
		l.fail(err.Error())
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	l.requests.Add(1)
	if handshake {
		l.handshakes.Add(1)
	}
}

// loadFailures counts what servers could not serve: failed handshakes above all.
type loadFailures struct{ load *mtlsLoad }

func (f loadFailures) Write(line []byte) (int, error) {
	f.load.fail(string(line))
	return len(line), nil
}

func (l *mtlsLoad) fail(why string) {
	l.failed.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.reasons) < 10 {
		l.reasons = append(l.reasons, fmt.Sprintf("%.1fs: %s", l.elapsed(time.Now()), why))
	}
}

// elapsed is the seconds from the start of the load to a moment.
func (l *mtlsLoad) elapsed(at time.Time) float64 { return at.Sub(l.start).Seconds() }

// await returns once every workload is as it should be. A failed request ends the test.
func (l *mtlsLoad) await(t *testing.T, what string, is func(client.Status) bool) {
	t.Helper()
	l.awaitSources(t, what, func(s *client.Source) bool { return is(s.Status()) })
}

func (l *mtlsLoad) awaitSources(t *testing.T, what string, is func(*client.Source) bool) {
	t.Helper()
	const limit = 10 * time.Minute // a rotation takes half a minute on a machine that is idle
	deadline := time.Now().Add(limit)
	for {
		left := 0
		for _, s := range l.sources {
			if !is(s) {
				left++
			}
		}
		switch {
		case l.failed.Load() > 0:
			t.Fatalf("%.1fs: requests failed: %q", l.elapsed(time.Now()), l.reasons)
		case left == 0:
			t.Logf("%6.1fs  every workload %s", l.elapsed(time.Now()), what)
			return
		case time.Now().After(deadline):
			t.Fatalf("after %s %d of %d workloads do not yet: %s", limit, left, len(l.sources), what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// awaitSequence returns once every workload has a bundle with this sequence or a later one.
func (l *mtlsLoad) awaitSequence(t *testing.T, sequence uint64) {
	t.Helper()
	l.await(t, fmt.Sprintf("has bundle %d", sequence), func(s client.Status) bool { return s.BundleSequence >= sequence })
}

// stop ends the workloads, those who ask first. It may be called again.
func (l *mtlsLoad) stop(t *testing.T) {
	t.Helper()
	l.end()
	l.asking.Wait()
	for _, s := range l.servers {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	l.serving.Wait()
	l.servers = nil
	for _, s := range l.sources {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
