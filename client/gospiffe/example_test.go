package gospiffe_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"

	"github.com/pando-ca/pando/client"
	"github.com/pando-ca/pando/client/clienttest"
	"github.com/pando-ca/pando/client/gospiffe"
)

// A program that has its TLS from go-spiffe changes where its identity comes from, and nothing
// else.
func ExampleNew() {
	// A double of Pando; in earnest the configuration has Servers, TrustBundleFile and a credential.
	ca := clienttest.Start(clienttest.Options{})
	defer ca.Close()
	source, err := client.Open(context.Background(), ca.Config("spiffe://example.org/web"))
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()

	identity := gospiffe.New(source)
	web := tlsconfig.AuthorizeID(spiffeid.RequireFromString("spiffe://example.org/web"))
	server := &http.Server{
		TLSConfig: tlsconfig.MTLSServerConfig(identity, identity, web),
		Handler:   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "an answer") }),
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go server.ServeTLS(listener, "", "") // the certificates are in TLSConfig
	defer server.Close()

	// The same workload calls itself here.
	transport := &http.Transport{TLSClientConfig: tlsconfig.MTLSClientConfig(identity, identity, web)}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Get("https://" + listener.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	fmt.Println(string(body), err)
	// Output: an answer <nil>
}

// What the helpers of go-spiffe ask, each time that they need it.
func ExampleSource() {
	ca := clienttest.Start(clienttest.Options{})
	defer ca.Close()
	source, err := client.Open(context.Background(), ca.Config("spiffe://example.org/web"))
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()

	identity := gospiffe.New(source)
	svid, err := identity.GetX509SVID()
	if err != nil {
		log.Fatal(err)
	}
	bundle, err := identity.GetX509BundleForTrustDomain(svid.ID.TrustDomain())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(svid.ID, len(bundle.X509Authorities()))
	// Output: spiffe://example.org/web 1
}
