package clienttest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pando-ca/pando/client"
	"github.com/pando-ca/pando/client/clienttest"
)

// program is one that embeds the client: a server and a client of it, each with an identity.
type program struct {
	server, caller *client.Source
	http           *http.Client
}

// start starts a program whose connections are in the CA's network.
func start(t *testing.T, ca *clienttest.CA) *program {
	t.Helper()
	p := &program{server: open(t, ca.Config(web)), caller: open(t, ca.Config("spiffe://example.org/caller"))}
	inner, err := ca.Network().Listen("web.test:443")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, err := client.PeerID(r.TLS)
		fmt.Fprintf(w, "%s %v", id, err)
		http.NewResponseController(w).Flush()
		if r.URL.Path == "/stream" {
			<-r.Context().Done()
		}
	})}
	go server.Serve(p.server.Listener(inner, client.ListenerConfig{Authorize: client.AuthorizeID(p.caller.ID())}))
	t.Cleanup(func() { server.Close() })
	dialer := p.caller.Dialer(client.DialerConfig{Authorize: client.AuthorizeID(p.server.ID()), DialContext: ca.Network().DialContext})
	transport := &http.Transport{DialTLSContext: dialer.DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	p.http = &http.Client{Transport: transport}
	return p
}

// ask makes one request.
func (p *program) ask() error {
	response, err := p.http.Get("https://web.test/")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if want := "spiffe://example.org/caller <nil>"; err == nil && string(body) != want {
		err = fmt.Errorf("body %q, want %q", body, want)
	}
	return err
}

func TestARotationUnderRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := clienttest.New(t, clienttest.Options{})
		p := start(t, ca)
		rotated := make(chan error, 1)
		go func() { rotated <- ca.RotateRoot(t.Context()) }()
		asked := 0
		for end := time.Now().Add(3 * time.Hour); time.Now().Before(end); pass(10 * time.Second) {
			if err := p.ask(); err != nil {
				t.Fatalf("at %s: %v", time.Now().Format(time.TimeOnly), err)
			}
			asked++
		}
		if err := <-rotated; err != nil || asked != 3*360 || len(p.caller.Roots()) != 1 || !p.caller.Roots()[0].Equal(ca.Roots()[0]) {
			t.Errorf("rotated: %v after %d requests, roots %d", err, asked, len(p.caller.Roots()))
		}
	})
}

func TestARevocationCutsAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := clienttest.New(t, clienttest.Options{})
		p := start(t, ca)
		pass(time.Minute)
		response, err := p.http.Get("https://web.test/stream")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		begun := time.Now()
		ca.Refuse("policy_denied", clienttest.Enrol)
		ca.Revoke("spiffe://example.org/caller")
		if _, err := io.ReadAll(response.Body); err == nil || time.Since(begun) > time.Second {
			t.Errorf("the stream ended with %v after %s", err, time.Since(begun))
		}
		pass(time.Minute)
		if err := p.ask(); !errors.Is(err, client.ErrRevoked) {
			t.Errorf("error %v", err)
		}
	})
}

// TestAnOutageWithARestart: the CA is away for longer than certificates last, the program is
// started meanwhile, and waits.
func TestAnOutageWithARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := clienttest.New(t, clienttest.Options{})
		p := start(t, ca)
		ca.Down()
		pass(50 * time.Minute)
		if err := p.ask(); err != nil {
			t.Errorf("within the lifetime: %v", err)
		}
		pass(15 * time.Minute)
		p.http.CloseIdleConnections()
		_, err := p.caller.Certificate()
		if asked := p.ask(); asked == nil || !errors.Is(err, client.ErrExpired) {
			t.Errorf("past it: %v, %v", asked, err)
		}
		opened := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			source, err := client.Open(ctx, ca.Config("spiffe://example.org/third"))
			if err == nil {
				source.Close()
			}
			opened <- err
		}()
		pass(30 * time.Minute)
		ca.Up()
		pass(2 * time.Minute)
		if err := <-opened; err != nil {
			t.Errorf("who was started meanwhile: %v", err)
		}
		if err := p.ask(); err != nil {
			t.Errorf("after the outage: %v", err)
		}
	})
}
