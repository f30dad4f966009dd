package client_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/pando-ca/pando/client"
	"github.com/pando-ca/pando/client/clienttest"
)

// open is the start of each of these examples.
func open() (source *client.Source, inner net.Listener, stop func()) {
	ca := clienttest.Start(clienttest.Options{})
	source, err := client.Open(context.Background(), ca.Config("spiffe://example.org/web"))
	if err != nil {
		log.Fatal(err)
	}
	inner, err = net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	return source, inner, func() {
		source.Close()
		ca.Close()
	}
}

// mutual is an HTTP client in mutual TLS with the workload itself.
func mutual(source *client.Source) *http.Client {
	dialer := source.Dialer(client.DialerConfig{Authorize: client.AuthorizeID(source.ID())})
	return &http.Client{Transport: &http.Transport{DialTLSContext: dialer.DialContext}}
}

func ExampleRequireMTLS() {
	source, inner, stop := open()
	defer stop()

	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "healthy") })
	mux.Handle("/", client.RequireMTLS(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, _ := client.PeerFrom(r.Context())
		fmt.Fprint(w, "hello ", peer.ID)
	})))
	server := &http.Server{Handler: mux, ConnContext: client.ConnContext}
	// Mutual TLS and plaintext on one port, while callers move from one to the other.
	stopped := serve(server, source.Listener(inner, client.ListenerConfig{
		Mode: client.ModePermissive, Authorize: client.AuthorizePath(source.TrustDomain(), "/*"),
	}))
	defer stopped()

	address := inner.Addr().String()
	self := mutual(source)
	defer self.CloseIdleConnections()
	plain := &http.Client{Transport: &http.Transport{}}
	defer plain.CloseIdleConnections()
	fmt.Println(get(self, "https://"+address+"/"))
	fmt.Println(get(plain, "http://"+address+"/healthz"))
	fmt.Print(get(plain, "http://"+address+"/"))
	// Output:
	// hello spiffe://example.org/web
	// healthy
	// {"title":"Forbidden","status":403,"code":"mtls_required","detail":"This resource is served over mutual TLS only."}
}

func ExampleListener_SetMode() {
	source, inner, stop := open()
	defer stop()
	listener := source.Listener(inner, client.ListenerConfig{
		Name: "api", Mode: client.ModePermissive, Authorize: client.AuthorizeID(source.ID()),
	})
	server := &http.Server{ConnContext: client.ConnContext, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, client.SecurityOf(r.Context()))
	})}
	stopped := serve(server, listener)
	defer stopped()

	plain := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	fmt.Println(get(plain, "http://"+inner.Addr().String()))
	if err := listener.SetMode(client.ModeStrict); err != nil {
		log.Fatal(err)
	}
	fmt.Print(get(plain, "http://"+inner.Addr().String()))
	for _, l := range source.Listeners() {
		fmt.Println(l.Name, "is", l.Mode, "by", l.From)
	}
	// Output:
	// plaintext
	// This port takes mutual TLS only.
	// api is strict by code
}

func ExampleListener_Override() {
	source, inner, stop := open()
	defer stop()
	listener := source.Listener(inner, client.ListenerConfig{Authorize: client.AuthorizeID(source.ID())})
	defer listener.Close()

	end, err := listener.Override(30*time.Minute, "callers cannot renew their certificates")
	if err != nil {
		log.Fatal(err)
	}
	status := source.Listeners()[0]
	fmt.Println(status.Mode, "for", time.Until(status.OverrideExpires).Round(time.Minute))
	end() // or it ends by itself
	fmt.Println(source.Listeners()[0].Mode)
	// Output:
	// permissive for 30m0s
	// strict
}

func ExampleDialerConfig_simple() {
	source, inner, stop := open()
	defer stop()
	inner.Close()
	// A server of the outside, whose certificate is of another CA.
	site := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello stranger, %d certificates", len(r.TLS.PeerCertificates))
	}))
	defer site.Close()
	roots := x509.NewCertPool() // in earnest: none, for those of the system
	roots.AddCert(site.Certificate())

	dialer := source.Dialer(client.DialerConfig{Mode: client.ModeSimple, Roots: roots})
	outside := &http.Client{Transport: &http.Transport{DialTLSContext: dialer.DialContext}}
	defer outside.CloseIdleConnections()
	fmt.Println(get(outside, site.URL))
	// Output: hello stranger, 0 certificates
}

func ExampleConnSecurity() {
	source, inner, stop := open()
	defer stop()
	listener := source.Listener(inner, client.ListenerConfig{
		Mode: client.ModePermissive, Authorize: client.AuthorizeID(source.ID()),
	})
	defer listener.Close()
	go func() { // somebody in plaintext
		conn, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			log.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintln(conn, "hello")
		io.Copy(io.Discard, conn)
	}()

	conn, err := listener.Accept()
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	if security, peer := client.ConnSecurity(conn); security == client.SecurityMTLS {
		fmt.Println("from", peer.ID)
	} else {
		fmt.Println("from somebody in", security)
	}
	// Output: from somebody in plaintext
}
