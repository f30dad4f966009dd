package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/pando-ca/pando/client"
	"github.com/pando-ca/pando/client/clienttest"
)

// A program that checks its configuration before it does anything.
func ExampleConfig_Validate() {
	ca := clienttest.Start(clienttest.Options{})
	defer ca.Close()
	config := ca.Config("spiffe://example.org/web")
	fmt.Println(config.Validate())
	config.Duration = time.Millisecond
	fmt.Println(config.Validate())
	// Output:
	// <nil>
	// duration 1ms is under one second
}

// counter counts what an operator asks for. Its methods are called in handshakes.
type counter struct{ renewals, failures, connections atomic.Int64 }

func (c *counter) Renewal(err error) {
	c.renewals.Add(1)
	if err != nil {
		c.failures.Add(1)
	}
}

func (c *counter) Handshake(h client.Handshake) {
	if h.Reason != "" {
		c.failures.Add(1)
	}
}

func (c *counter) Connection(client.Connection) { c.connections.Add(1) }

// Package client/prom has Metrics for Prometheus; these are for something else.
func ExampleMetrics() {
	ca := clienttest.Start(clienttest.Options{})
	defer ca.Close()
	config := ca.Config("spiffe://example.org/web")
	counted := new(counter)
	config.Metrics = counted
	source, err := client.Open(context.Background(), config)
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()
	fmt.Println("renewals:", counted.renewals.Load(), "failures:", counted.failures.Load())
	// Output: renewals: 1 failures: 0
}

// What Pando has refused tells a person what to do about it.
func ExampleServerError() {
	ca := clienttest.Start(clienttest.Options{})
	defer ca.Close()
	ca.Refuse("policy_denied", clienttest.Enrol) // no entry, say

	_, err := client.Open(context.Background(), ca.Config("spiffe://example.org/web"))
	var refusal *client.ServerError
	if errors.As(err, &refusal) {
		fmt.Println(refusal.Status, refusal.Code, refusal.Final())
	}
	// Output: 403 policy_denied true
}

// An emergency in which Pando is what is down.
func ExampleSource_Override() {
	source, inner, stop := open()
	defer stop()
	listener := source.Listener(inner, client.ListenerConfig{Mode: client.ModePolicy, Authorize: client.AuthorizeID(source.ID())})
	defer listener.Close()

	end, err := source.Override(10*time.Minute, "no certificate can be renewed")
	if err != nil {
		log.Fatal(err)
	}
	defer end()
	for _, o := range source.Overrides() {
		fmt.Println(o.ID, o.Side, o.Reason)
	}
	fmt.Println(source.Listeners()[0].Mode)
	// Output:
	// local both no certificate can be renewed
	// permissive
}

// Full control: a tls.Config of the program's own, with what is current in each handshake.
func ExampleSource_Certificate() {
	source, inner, stop := open()
	defer stop()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "an answer") })}
	defer serve(server, tls.NewListener(inner, &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return source.Certificate() },
	}))() // a server that asks nobody who they are

	self := mutual(source)
	defer self.CloseIdleConnections()
	fmt.Println(get(self, "https://"+inner.Addr().String()))
	// Output: an answer
}

// For verifiers that do not take a tls.Config.
func ExampleSource_Roots() {
	source, inner, stop := open()
	defer stop()
	inner.Close()
	for _, root := range source.Roots() { // ask each time: they change
		fmt.Println(root.IsCA, root.URIs)
	}
	// Output: true [spiffe://example.org]
}
