package client_test

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/client"
	"github.com/pando-ca/pando/client/clienttest"
)

func ExampleSource_HTTPClient() {
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

	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "an answer over ", r.Proto) })
	// Clients are asked to come back over a new connection when their certificate has expired.
	server := &http.Server{Handler: client.RenewConnections(mux)}
	defer serve(server, source.Listener(inner, client.ListenerConfig{
		Authorize:  client.AuthorizeID(source.ID()),
		NextProtos: []string{"h2", "http/1.1"},
	}))()

	// The same workload calls itself here.
	caller := source.HTTPClient(client.AuthorizeID(source.ID()))
	caller.Timeout = 10 * time.Second
	defer caller.CloseIdleConnections()
	fmt.Println(get(caller, "https://"+inner.Addr().String()))
	fmt.Println(get(caller, "http://"+inner.Addr().String()))
	// Output:
	// an answer over HTTP/2.0
	// pando client: a URL with http:, or a proxy, where there is mutual TLS only
}

func ExampleSource_Transport() {
	ca := clienttest.Start(clienttest.Options{})
	defer ca.Close()
	source, err := client.Open(context.Background(), ca.Config("spiffe://example.org/web"))
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()
	backend, stopped := listenAndServe(&http.Server{
		TLSConfig: source.ServerTLS(client.AuthorizeID(source.ID())),
		Handler:   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "from the backend") }),
	})
	defer stopped()
	target, err := url.Parse(backend)
	if err != nil {
		log.Fatal(err)
	}

	// A reverse proxy that reaches its backend in mutual TLS.
	transport := source.Transport(client.TransportConfig{
		Dialer:   client.DialerConfig{Authorize: client.AuthorizeID(source.ID())},
		Settings: &http.Transport{ResponseHeaderTimeout: 10 * time.Second, MaxIdleConnsPerHost: 100},
	})
	defer transport.CloseIdleConnections()
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer serve(&http.Server{Handler: proxy}, inner)()
	fmt.Println(get(http.DefaultClient, "http://"+inner.Addr().String()))
	// Output: from the backend
}

func ExampleSource_ClientTLS_database() {
	open := func(source *client.Source, database spiffeid.ID) (*sql.DB, error) {
		cfg, err := pgx.ParseConfig("postgres://orders@db.internal/orders?sslmode=require")
		if err != nil {
			return nil, err
		}
		cfg.TLSConfig = source.ClientTLS(client.AuthorizeID(database))
		for _, other := range cfg.Fallbacks { // further hosts of the URL
			other.TLSConfig = cfg.TLSConfig
		}
		db := stdlib.OpenDB(*cfg)
		db.SetConnMaxLifetime(30 * time.Minute) // so that connections have new certificates, too
		return db, nil
	}
	_ = open // this example has no database to talk to
}
