package pandogrpc_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/pando-ca/pando/client"
	pandogrpc "github.com/pando-ca/pando/client/grpc"
)

// A server that every workload below /ns/prod may call, and a client of it.
func ExampleServerCredentials() {
	source, err := client.Open(context.Background(), client.Config{
		Servers:         []string{"https://pando.internal:8443"},
		TrustBundleFile: "/etc/pando/roots.pem",
		JWTFile:         "/var/run/secrets/tokens/pando",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()
	callers := client.AuthorizePath(source.TrustDomain(), "/ns/prod/*")
	server := grpc.NewServer(grpc.Creds(pandogrpc.ServerCredentials(source, callers)), grpc.UnaryInterceptor(
		func(ctx context.Context, in any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
			caller, err := pandogrpc.PeerID(ctx)
			if err != nil {
				return nil, err
			}
			fmt.Println("called by", caller)
			return handle(ctx, in)
		}))
	listener, err := net.Listen("tcp", ":8443")
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(server.Serve(listener))
}

func ExampleClientCredentials() {
	source, err := client.Open(context.Background(), client.Config{
		Servers:         []string{"https://pando.internal:8443"},
		TrustBundleFile: "/etc/pando/roots.pem",
		JWTFile:         "/var/run/secrets/tokens/pando",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()
	conn, err := grpc.NewClient("dns:///db.internal:8443",
		grpc.WithTransportCredentials(pandogrpc.ClientCredentials(source, client.AuthorizePath(source.TrustDomain(), "/ns/prod/db"))))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	answer, err := healthpb.NewHealthClient(conn).Check(context.Background(), &healthpb.HealthCheckRequest{})
	fmt.Println(answer.GetStatus(), err)
}
