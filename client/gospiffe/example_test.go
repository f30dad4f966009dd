package gospiffe_test

import (
	"context"
	"log"
	"net/http"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"

	"github.com/pando-ca/pando/client"
	"github.com/pando-ca/pando/client/gospiffe"
)

// A program that has its TLS from go-spiffe changes where its identity comes from, and nothing
// else.
func ExampleNew() {
	source, err := client.Open(context.Background(), client.Config{
		Servers:         []string{"https://pando.internal:8443"},
		TrustBundleFile: "/etc/pando/roots.pem",
		JWTFile:         "/var/run/secrets/tokens/pando",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()
	identity := gospiffe.New(source)
	frontend := spiffeid.RequireFromString("spiffe://example.org/frontend")
	server := &http.Server{
		Addr:      ":8443",
		TLSConfig: tlsconfig.MTLSServerConfig(identity, identity, tlsconfig.AuthorizeID(frontend)),
	}
	log.Fatal(server.ListenAndServeTLS("", ""))
}
