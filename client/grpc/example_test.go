package pandogrpc_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/pando-ca/pando/client"
	"github.com/pando-ca/pando/client/clienttest"
	pandogrpc "github.com/pando-ca/pando/client/grpc"
)

// health says who called.
type health struct {
	healthpb.UnimplementedHealthServer
}

func (health) Check(ctx context.Context, _ *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	caller, err := pandogrpc.PeerID(ctx)
	if err != nil {
		return nil, err
	}
	fmt.Println("called by", caller)
	return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING}, nil
}

// A server that every workload right below /ns/prod may call, and a client of it.
func Example() {
	// A double of Pando; in earnest the configurations have Servers, TrustBundleFile and a credential.
	ca := clienttest.Start(clienttest.Options{})
	defer ca.Close()

	db, err := client.Open(context.Background(), ca.Config("spiffe://example.org/ns/prod/db"))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	callers := client.AuthorizePath(db.TrustDomain(), "/ns/prod/*")
	server := grpc.NewServer(grpc.Creds(pandogrpc.ServerCredentials(db, callers)))
	healthpb.RegisterHealthServer(server, health{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go server.Serve(listener)
	defer server.Stop()

	web, err := client.Open(context.Background(), ca.Config("spiffe://example.org/ns/prod/web"))
	if err != nil {
		log.Fatal(err)
	}
	defer web.Close()
	conn, err := grpc.NewClient("dns:///"+listener.Addr().String(),
		grpc.WithTransportCredentials(pandogrpc.ClientCredentials(web, client.AuthorizeID(db.ID()))))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	answer, err := healthpb.NewHealthClient(conn).Check(context.Background(), &healthpb.HealthCheckRequest{})
	fmt.Println(answer.GetStatus(), err)
	// Output:
	// called by spiffe://example.org/ns/prod/web
	// SERVING <nil>
}

// A server that takes calls in mutual TLS and, until everybody has an identity, in plaintext.
func ExampleListenerCredentials() {
	ca := clienttest.Start(clienttest.Options{})
	defer ca.Close()
	db, err := client.Open(context.Background(), ca.Config("spiffe://example.org/ns/prod/db"))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	modes := db.Listener(nil, client.ListenerConfig{
		Mode: client.ModePermissive, Authorize: client.AuthorizeTrustDomain(db.TrustDomain()), NextProtos: []string{"h2"},
	})
	defer modes.Close()
	server := grpc.NewServer(grpc.Creds(pandogrpc.ListenerCredentials(modes)))
	healthpb.RegisterHealthServer(server, health{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go server.Serve(listener)
	defer server.Stop()

	for _, own := range []credentials.TransportCredentials{
		pandogrpc.ClientCredentials(db, client.AuthorizeID(db.ID())), insecure.NewCredentials(),
	} {
		conn, err := grpc.NewClient("dns:///"+listener.Addr().String(), grpc.WithTransportCredentials(own))
		if err != nil {
			log.Fatal(err)
		}
		_, err = healthpb.NewHealthClient(conn).Check(context.Background(), &healthpb.HealthCheckRequest{})
		fmt.Println(status.Code(err)) // health wants to know who calls
		conn.Close()
	}
	// Output:
	// called by spiffe://example.org/ns/prod/db
	// OK
	// Unknown
}
