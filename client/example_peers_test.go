package client_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/client"
	"github.com/pando-ca/pando/client/clienttest"
)

// id parses what is known to be a SPIFFE ID.
func id(text string) spiffeid.ID {
	parsed, err := spiffeid.Parse(text)
	if err != nil {
		log.Fatal(err)
	}
	return parsed
}

func ExampleAuthorizeID() {
	authorize := client.AuthorizeID(id("spiffe://example.org/web"), id("spiffe://example.org/batch"))
	fmt.Println(authorize(client.Peer{ID: id("spiffe://example.org/batch")}))
	fmt.Println(authorize(client.Peer{ID: id("spiffe://example.org/web/admin")}))
	// Output:
	// <nil>
	// not among those allowed here
}

func ExampleAuthorizePath() {
	web := id("spiffe://example.org/ns/prod/sa/web")
	authorize := client.AuthorizePath(web.TrustDomain(), "/ns/prod/sa/*")
	fmt.Println(authorize(client.Peer{ID: web}))
	fmt.Println(authorize(client.Peer{ID: id("spiffe://example.org/ns/test/sa/web")}))
	// Output:
	// <nil>
	// not among those allowed here
}

func ExampleAuthorizeTrustDomain() {
	web := id("spiffe://example.org/web")
	// Seldom what a service means: it is everybody who ever had an identity.
	authorize := client.AuthorizeTrustDomain(web.TrustDomain())
	fmt.Println(authorize(client.Peer{ID: web}))
	fmt.Println(authorize(client.Peer{ID: id("spiffe://example.com/web")}) != nil)
	// Output:
	// <nil>
	// true
}

func ExamplePeerID() {
	source, inner, stop := open()
	defer stop()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, err := client.PeerID(r.TLS)
		if err != nil {
			http.Error(w, "no identity", http.StatusForbidden)
			return
		}
		fmt.Fprint(w, "hello ", caller)
	})}
	defer serve(server, tls.NewListener(inner, source.ServerTLS(client.AuthorizeID(source.ID()))))()

	self := mutual(source)
	defer self.CloseIdleConnections()
	fmt.Println(get(self, "https://"+inner.Addr().String()))
	// Output: hello spiffe://example.org/web
}

// With ConnContext every request knows how it came, and from whom.
func ExampleConnContext() {
	source, inner, stop := open()
	defer stop()
	server := &http.Server{ConnContext: client.ConnContext, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, known := client.PeerFrom(r.Context())
		fmt.Fprintf(w, "%s %v %s", client.SecurityOf(r.Context()), known, peer.ID)
	})}
	defer serve(server, source.Listener(inner, client.ListenerConfig{
		Mode: client.ModePermissive, Authorize: client.AuthorizeID(source.ID()),
	}))()

	self := mutual(source)
	defer self.CloseIdleConnections()
	fmt.Println(get(self, "https://"+inner.Addr().String()))
	plain := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	fmt.Println(get(plain, "http://"+inner.Addr().String()))
	// Output:
	// mtls true spiffe://example.org/web
	// plaintext false
}

func ExampleSecurityOf() {
	handler := func(ctx context.Context) string {
		switch client.SecurityOf(ctx) {
		case client.SecurityMTLS:
			return "all of it"
		default: // plaintext, or a server without ConnContext
			return "what is public"
		}
	}
	fmt.Println(handler(context.Background()))
	// Output: what is public
}

func ExamplePeerFrom() {
	audit := func(ctx context.Context) string {
		peer, ok := client.PeerFrom(ctx)
		if !ok {
			return "somebody"
		}
		return peer.ID.String()
	}
	fmt.Println(audit(context.Background())) // a context that no ConnContext has made
	// Output: somebody
}

// Some paths of one server are for fewer peers than the others.
func ExampleRequirePeer() {
	source, inner, stop := open()
	defer stop()
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "the page ", r.URL.Path) })
	admin := client.AuthorizeID(id("spiffe://example.org/admin"))
	mux := http.NewServeMux()
	mux.Handle("/", page)
	mux.Handle("/admin", client.RequirePeer(admin, page))
	server := &http.Server{Handler: mux, ConnContext: client.ConnContext}
	defer serve(server, source.Listener(inner, client.ListenerConfig{
		Authorize: client.AuthorizeTrustDomain(source.TrustDomain()),
	}))()

	self := mutual(source)
	defer self.CloseIdleConnections()
	fmt.Println(get(self, "https://"+inner.Addr().String()+"/"))
	fmt.Print(get(self, "https://"+inner.Addr().String()+"/admin"))
	// Output:
	// the page /
	// {"title":"Forbidden","status":403,"code":"peer_not_allowed","detail":"spiffe://example.org/web may not use this resource."}
}

// A client that never ends its connections is asked to come back when its certificate has expired.
func ExampleRenewConnections() {
	source, inner, stop := open()
	defer stop()
	server := &http.Server{Handler: client.RenewConnections(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "an answer")
	}))}
	defer serve(server, source.Listener(inner, client.ListenerConfig{
		Authorize: client.AuthorizeID(source.ID()), NextProtos: []string{"h2", "http/1.1"},
	}))()

	caller := source.HTTPClient(client.AuthorizeID(source.ID()))
	defer caller.CloseIdleConnections()
	fmt.Println(get(caller, "https://"+inner.Addr().String()))
	// Output: an answer
}

// A tool judges a certificate as a server would.
func ExampleVerifyPeer() {
	ca := clienttest.Start(clienttest.Options{})
	defer ca.Close()
	identity := ca.Certificate("spiffe://example.org/web")
	var chain []*x509.Certificate
	for _, der := range identity.Certificate {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			log.Fatal(err)
		}
		chain = append(chain, cert)
	}

	now := time.Now()
	fmt.Println(client.VerifyPeer(chain, ca.Roots(), x509.ExtKeyUsageClientAuth, now))
	tomorrow := now.Add(24 * time.Hour)
	_, err := client.VerifyPeer(chain, ca.Roots(), x509.ExtKeyUsageClientAuth, tomorrow)
	fmt.Println(client.ReasonOf(err, tomorrow))
	// Output:
	// spiffe://example.org/web <nil>
	// expired
}

func ExampleReasonOf() {
	now := time.Now()
	fmt.Println(client.ReasonOf(fmt.Errorf("handshake: %w", os.ErrDeadlineExceeded), now))
	fmt.Println(client.ReasonOf(&net.OpError{Op: "remote error", Err: errors.New("tls: unknown certificate authority")}, now))
	// Output:
	// timeout
	// unknown_authority
}

// A server of another protocol accepts by itself, and has the handshake made.
func ExampleListener_Handshake() {
	source, inner, stop := open()
	defer stop()
	listener := source.Listener(nil, client.ListenerConfig{Authorize: client.AuthorizeID(source.ID())})
	defer listener.Close()
	go func() {
		raw, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			log.Fatal(err)
		}
		// The same for the other side: a connection that is there already.
		conn, err := source.Dialer(client.DialerConfig{Authorize: client.AuthorizeID(source.ID())}).Client(context.Background(), raw, "")
		if err != nil {
			log.Fatal(err)
		}
		fmt.Fprint(conn, "hello")
		conn.Close()
	}()

	raw, err := inner.Accept()
	if err != nil {
		log.Fatal(err)
	}
	conn, err := listener.Handshake(raw)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	security, peer := client.ConnSecurity(conn)
	fmt.Println(security, peer.ID)
	// Output: mtls spiffe://example.org/web
}
