package client_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/client"
	"github.com/pando-ca/pando/client/clienttest"
)

func ExampleOpen() {
	// A double of Pando; in earnest the configuration has Servers, TrustBundleFile and a credential.
	ca := clienttest.Start(clienttest.Options{})
	defer ca.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	source, err := client.Open(ctx, ca.Config("spiffe://example.org/web"))
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()

	status := source.Status()
	fmt.Println(status.ID, "is valid for", status.NotAfter.Sub(status.NotBefore))
	// Output: spiffe://example.org/web is valid for 1h0m0s
}

func ExampleSource_ServerTLS() {
	ca := clienttest.Start(clienttest.Options{})
	defer ca.Close()
	source, err := client.Open(context.Background(), ca.Config("spiffe://example.org/web"))
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()

	server := &http.Server{
		TLSConfig: source.ServerTLS(client.AuthorizePath(source.TrustDomain(), "/*")),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			peer, err := client.PeerID(r.TLS)
			if err != nil {
				http.Error(w, "no identity", http.StatusForbidden)
				return
			}
			fmt.Fprintf(w, "hello %s", peer)
		}),
	}
	address, stopped := listenAndServe(server)
	defer stopped()

	// The same workload calls itself here.
	self := &http.Client{Transport: &http.Transport{TLSClientConfig: source.ClientTLS(client.AuthorizeID(source.ID()))}}
	defer self.CloseIdleConnections()
	fmt.Println(get(self, address))
	// Output: hello spiffe://example.org/web
}

func ExampleSource_ClientTLS() {
	ca := clienttest.Start(clienttest.Options{})
	defer ca.Close()
	source, err := client.Open(context.Background(), ca.Config("spiffe://example.org/web"))
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()
	address, stopped := listenAndServe(&http.Server{
		TLSConfig: source.ServerTLS(client.AuthorizeTrustDomain(source.TrustDomain())),
		Handler:   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "an answer") }),
		ErrorLog:  log.New(io.Discard, "", 0),
	})
	defer stopped()

	// A client of one service says which: no other workload of the domain will do.
	for _, name := range []string{"spiffe://example.org/web", "spiffe://example.org/database"} {
		id, err := spiffeid.Parse(name)
		if err != nil {
			log.Fatal(err)
		}
		caller := &http.Client{Transport: &http.Transport{TLSClientConfig: source.ClientTLS(client.AuthorizeID(id))}}
		fmt.Println(get(caller, address))
		caller.CloseIdleConnections()
	}
	// Output:
	// an answer
	// pando client: peer spiffe://example.org/web: not among those allowed here
}

func ExampleSource_Listener() {
	ca := clienttest.Start(clienttest.Options{})
	defer ca.Close()
	source, err := client.Open(context.Background(), ca.Config("spiffe://example.org/web"))
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()

	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{ConnContext: client.ConnContext, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, _ := client.PeerFrom(r.Context())
		fmt.Fprintf(w, "hello %s over %s", peer.ID, r.Proto)
	})}
	// Connections whose peer is revoked end while they are open.
	stopped := serve(server, source.Listener(inner, client.ListenerConfig{
		Authorize:  client.AuthorizePath(source.TrustDomain(), "/*"),
		NextProtos: []string{"h2", "http/1.1"},
	}))
	defer stopped()

	// The same workload calls itself here.
	dialer := source.Dialer(client.DialerConfig{Authorize: client.AuthorizeID(source.ID()), NextProtos: []string{"h2", "http/1.1"}})
	self := &http.Client{Transport: &http.Transport{DialTLSContext: dialer.DialContext, ForceAttemptHTTP2: true}}
	defer self.CloseIdleConnections()
	fmt.Println(get(self, "https://"+inner.Addr().String()))
	// Output: hello spiffe://example.org/web over HTTP/2.0
}

func ExampleDialer_DialContext() {
	ca := clienttest.Start(clienttest.Options{})
	defer ca.Close()
	source, err := client.Open(context.Background(), ca.Config("spiffe://example.org/web"))
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	echo := source.Listener(inner, client.ListenerConfig{Authorize: client.AuthorizeID(source.ID())})
	defer echo.Close()
	go func() {
		conn, err := echo.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		io.Copy(conn, conn)
	}()

	// Any protocol: what comes is a connection in mutual TLS.
	dialer := source.Dialer(client.DialerConfig{Authorize: client.AuthorizeID(source.ID())})
	conn, err := dialer.DialContext(context.Background(), "tcp", inner.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintln(conn, "an echo")
	line, err := bufio.NewReader(conn).ReadString('\n')
	fmt.Print(line, err)
	// Output:
	// an echo
	// <nil>
}

func ExampleSource_Updates() {
	ca := clienttest.Start(clienttest.Options{})
	defer ca.Close()
	source, err := client.Open(context.Background(), ca.Config("spiffe://example.org/web"))
	if err != nil {
		log.Fatal(err)
	}
	updates := source.Updates(context.Background())
	source.Close() // or the range goes on with each new certificate
	for status := range updates {
		fmt.Println(status.ID, status.BundleSequence)
	}
	// Output: spiffe://example.org/web 7
}

func ExampleAuthorizer() {
	ca := clienttest.Start(clienttest.Options{})
	defer ca.Close()
	source, err := client.Open(context.Background(), ca.Config("spiffe://example.org/web"))
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()

	// Any function of this shape decides.
	withName := func(peer client.Peer) error {
		if len(peer.Certificate.DNSNames) == 0 {
			return errors.New("has no DNS name")
		}
		return nil
	}
	address, stopped := listenAndServe(&http.Server{
		TLSConfig: source.ServerTLS(client.AuthorizeID(source.ID())),
		ErrorLog:  log.New(io.Discard, "", 0),
	})
	defer stopped()
	caller := &http.Client{Transport: &http.Transport{TLSClientConfig: source.ClientTLS(withName)}}
	fmt.Println(get(caller, address))
	// Output: pando client: peer spiffe://example.org/web: has no DNS name
}

// listenAndServe serves on a loopback address and returns it.
func listenAndServe(server *http.Server) (address string, stop func()) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.ServeTLS(l, "", "") // the certificates are in TLSConfig
	}()
	return "https://" + l.Addr().String(), func() {
		server.Close()
		<-done
	}
}

// serve serves on a listener whose connections are in TLS.
func serve(server *http.Server, l net.Listener) (stop func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(l)
	}()
	return func() {
		server.Close()
		<-done
	}
}

// get returns the body of a page, or what went wrong without the address.
func get(c *http.Client, address string) string {
	response, err := c.Get(address)
	if err != nil {
		return fmt.Sprint(errors.Unwrap(err))
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}
