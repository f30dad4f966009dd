package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/client"
)

// proxyLoad asks the proxies without a pause.
type proxyLoad struct {
	source  *client.Source
	proxies map[string]*proxyAsked
	failed  atomic.Int64

	mu      sync.Mutex
	reasons []string
}

// proxyAsked is one proxy, and what it has shown.
type proxyAsked struct {
	url                  string
	id                   spiffeid.ID
	requests, handshakes atomic.Int64

	mu      sync.Mutex
	serials map[string]bool
}

func newProxyLoad(source *client.Source, addresses map[string]string) *proxyLoad {
	l := &proxyLoad{source: source, proxies: make(map[string]*proxyAsked)}
	for name, address := range addresses {
		id, err := spiffeid.Join(source.TrustDomain(), name)
		if err != nil {
			panic(err)
		}
		l.proxies[name] = &proxyAsked{url: "https://" + address, id: id, serials: make(map[string]bool)}
	}
	return l
}

func (l *proxyLoad) client(p *proxyAsked, kept bool) *http.Client {
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		TLSClientConfig: l.source.ClientTLS(client.AuthorizeID(p.id)), DisableKeepAlives: !kept,
	}}
}

// awaitFirst returns once both proxies answer.
func (l *proxyLoad) awaitFirst(t *testing.T) {
	t.Helper()
	for name, p := range l.proxies {
		c := l.client(p, false)
		for deadline := time.Now().Add(startLimit); ; time.Sleep(20 * time.Millisecond) {
			err := p.ask(c)
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s does not answer: %v", name, err)
			}
		}
	}
}

// refusesStrangers makes sure that a client without a certificate gets no answer.
func (l *proxyLoad) refusesStrangers(t *testing.T, addresses ...string) {
	t.Helper()
	stranger := &http.Client{Timeout: startLimit, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	for _, address := range addresses {
		resp, err := stranger.Get("https://" + address)
		if err != nil {
			continue
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			t.Errorf("%s answers a client without a certificate", address)
		}
	}
}

// ask makes one request, and notes the certificate that answers.
func (p *proxyAsked) ask(c *http.Client) error {
	resp, err := c.Get(p.url)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || strings.TrimSpace(string(body)) != "SUCCESS" {
		return fmt.Errorf("%s: %s", resp.Status, body)
	}
	p.requests.Add(1)
	p.mu.Lock()
	p.serials[resp.TLS.PeerCertificates[0].SerialNumber.String()] = true
	p.mu.Unlock()
	return nil
}

func (p *proxyAsked) certificates() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.serials)
}

// start asks each proxy over connections that are kept and over ones that are not.
func (l *proxyLoad) start(ctx context.Context, working *sync.WaitGroup) {
	for name, p := range l.proxies {
		for _, kept := range []bool{true, false} {
			c := l.client(p, kept)
			working.Go(func() {
				defer c.CloseIdleConnections()
				for ctx.Err() == nil {
					if err := p.ask(c); err != nil {
						l.fail(fmt.Sprintf("%s %s: %v", time.Now().Format("05.000"), name, err))
					}
					if !kept {
						p.handshakes.Add(1)
					}
					time.Sleep(10 * time.Millisecond) // leaves the machine usable
				}
			})
		}
	}
}

func (l *proxyLoad) fail(why string) {
	l.failed.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.reasons) < 10 {
		l.reasons = append(l.reasons, why)
	}
}

// tornReaders read the files as programs do.
type tornReaders struct {
	dir   string
	reads int
	torn  []string
	links map[string]bool
}

// run resolves the link and reads key, certificate and roots from there, again and again.
func (r *tornReaders) run(ctx context.Context) {
	r.links = make(map[string]bool)
	for ; ctx.Err() == nil; r.reads++ {
		version, err := filepath.EvalSymlinks(filepath.Join(r.dir, "current"))
		if err == nil {
			r.links[version] = true
			time.Sleep(time.Millisecond) // a reader is slow
			err = verifyFiles(version)
		}
		if err != nil && len(r.torn) < 10 {
			r.torn = append(r.torn, err.Error())
		}
	}
}

// check wants no torn read, and at least so many versions.
func (r *tornReaders) check(t *testing.T, versions int) {
	t.Helper()
	t.Logf("%d reads of %d versions", r.reads, len(r.links))
	if len(r.torn) > 0 {
		t.Errorf("torn reads: %q", r.torn)
	}
	if len(r.links) < versions {
		t.Errorf("%d reads saw %d versions only", r.reads, len(r.links))
	}
}

// verifyFiles checks that key, certificate and roots belong together.
func verifyFiles(dir string) error {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		return err
	}
	bundle, err := os.ReadFile(filepath.Join(dir, "bundle.pem"))
	if err != nil {
		return err
	}
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	for _, der := range pair.Certificate[1:] {
		intermediates.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates})
	return err
}
