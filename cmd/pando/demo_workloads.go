package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pando-ca/pando/client"
)

const (
	demoPause   = 5 * time.Millisecond // between two requests of one kind: some hundred a second leave the machine usable
	demoTimeout = 10 * time.Second
)

// token makes an entry for a workload and a join token that enrols it, as an operator would.
func (d *demo) token(ctx context.Context, name string) (string, error) {
	roots, err := readBundle(d.files.bundle)
	if err != nil {
		return "", err
	}
	certificate, err := loadKeyPair(d.files.admin.Certificate, d.files.admin.Key)
	if err != nil {
		return "", err
	}
	server, err := url.Parse(d.restURL())
	if err != nil {
		return "", err
	}
	api := newAPIClient(clientConfig{Server: server, Trust: roots, Certificate: certificate, Timeout: demoTimeout})
	defer api.http.CloseIdleConnections()
	entry := entryJSON{}
	request := createEntryJSON{SPIFFEID: demoID(name), Method: "join_token", Profile: demoProfile}
	if err := api.call(ctx, apiRequest{method: http.MethodPost, path: entriesPath, body: request}, &entry); err != nil {
		return "", err
	}
	token := tokenJSON{}
	ask := createTokenJSON{EntryID: entry.ID, TTL: "1h"}
	if err := api.call(ctx, apiRequest{method: http.MethodPost, path: tokensPath, body: ask}, &token); err != nil {
		return "", err
	}
	return token.Token, nil
}

func demoID(name string) string { return "spiffe://" + demoTrustDomain + "/" + name }

// demoPair is the two workloads: the front end asks, the back end answers.
type demoPair struct {
	printer  *demoPrinter
	frontend *client.Source
	backend  *client.Source

	requests   atomic.Int64
	handshakes atomic.Int64 // that the front end completed
	failed     atomic.Int64 // requests or handshakes, of either side
	swaps      atomic.Int64
}

// enrol gives both workloads their identities.
func (d *demo) enrol(ctx context.Context) (*demoPair, error) {
	p := &demoPair{printer: d.printer}
	for _, w := range []struct {
		name   string
		source **client.Source
	}{{"backend", &p.backend}, {"frontend", &p.frontend}} {
		token, err := d.token(ctx, w.name)
		if err != nil {
			return nil, errors.Join(err, p.close())
		}
		*w.source, err = client.Open(ctx, client.Config{
			Servers: []string{d.restURL()}, TrustBundleFile: d.files.bundle, JoinToken: token,
		})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("enrol %s: %w", w.name, err), p.close())
		}
	}
	return p, nil
}

func (p *demoPair) close() error {
	var errs []error
	for _, s := range []*client.Source{p.frontend, p.backend} {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(errs...)
}

// talk exchanges requests until ctx ends: some over one kept connection, each other one over
// a connection, and so with a handshake, of its own.
func (p *demoPair) talk(ctx context.Context) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := p.server()
	address := "https://" + listener.Addr().String()
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	var serving, askers errgroup.Group
	serving.Go(func() error {
		defer cancel() // without a server nobody needs to ask
		if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	for _, work := range []func(){
		func() { p.watch(asking, "backend", p.backend) },
		func() { p.watch(asking, "frontend", p.frontend) },
		func() { p.count(asking) },
		func() { p.ask(asking, address, true) },
		func() { p.ask(asking, address, false) },
	} {
		askers.Go(func() error { work(); return nil })
	}
	// The server goes last: a request that has begun is finished, and is no failure.
	err = askers.Wait()
	stop, done := context.WithTimeout(context.WithoutCancel(ctx), demoTimeout)
	defer done()
	return errors.Join(err, server.Shutdown(stop), serving.Wait())
}

// server answers the front end and nobody else.
func (p *demoPair) server() *http.Server {
	return &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") }),
		TLSConfig:         p.backend.ServerTLS(client.AuthorizeID(p.frontend.ID())),
		ReadHeaderTimeout: demoTimeout,
		// net/http logs here what it could not serve: failed handshakes above all.
		ErrorLog: log.New(demoFailures{p}, "", 0),
	}
}

// demoFailures counts what the back end could not serve.
type demoFailures struct{ pair *demoPair }

func (f demoFailures) Write(line []byte) (int, error) {
	f.pair.fail("backend", string(line))
	return len(line), nil
}

func (p *demoPair) fail(who, why string) {
	p.failed.Add(1)
	p.printer.event(who, "FAILED: %s", why)
}

// ask sends requests until ctx ends.
func (p *demoPair) ask(ctx context.Context, address string, kept bool) {
	dialer := tls.Dialer{Config: p.frontend.ClientTLS(client.AuthorizeID(p.backend.ID()))}
	transport := &http.Transport{
		DisableKeepAlives: !kept,
		DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err == nil {
				p.handshakes.Add(1)
			}
			return conn, err
		},
	}
	defer transport.CloseIdleConnections()
	httpClient := &http.Client{Transport: transport, Timeout: demoTimeout}
	// A request that has begun is finished, so that the end of the demo is no failure.
	request, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodGet, address, http.NoBody)
	if err != nil {
		p.fail("frontend", err.Error())
		return
	}
	pause := time.NewTicker(demoPause)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		if err := askOnce(httpClient, request); err != nil {
			p.fail("frontend", err.Error())
			continue
		}
		p.requests.Add(1)
	}
}

func askOnce(c *http.Client, request *http.Request) error {
	response, err := c.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}

// watch prints each certificate that a workload gets. The first is the one it enrolled with.
func (p *demoPair) watch(ctx context.Context, name string, source *client.Source) {
	what := "issued "
	for status := range source.Updates(ctx) {
		p.printer.event(name, "%s %s  valid until %s, renews at %s", what, status.Serial,
			clock(status.NotAfter), clock(status.RenewalDue))
		if what != "issued " {
			p.swaps.Add(1)
		}
		what = "swapped"
	}
}

func clock(t time.Time) string { return t.Local().Format("15:04:05.0") }

// demoCountEvery is how often the running count is printed.
const demoCountEvery = 2 * time.Second

func (p *demoPair) count(ctx context.Context) {
	ticker := time.NewTicker(demoCountEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			p.printer.event("count", "%s", p)
		}
	}
}

func (p *demoPair) String() string {
	return fmt.Sprintf("%d requests, %d handshakes, %d certificates swapped, %d failed",
		p.requests.Load(), p.handshakes.Load(), p.swaps.Load(), p.failed.Load())
}
