package pandogrpc_test

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/client"
	"github.com/pando-ca/pando/client/clienttest"
	pandogrpc "github.com/pando-ca/pando/client/grpc"
)

// asks is a health service that says who called last.
type asks struct {
	healthpb.UnimplementedHealthServer
	callers chan spiffeid.ID
}

func (a *asks) Check(ctx context.Context, _ *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	id, err := pandogrpc.PeerID(ctx)
	if err != nil {
		return nil, status.Error(codes.PermissionDenied, err.Error())
	}
	a.callers <- id
	return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING}, nil
}

// serve runs a server until the test ends, and returns its address.
func serve(t *testing.T, creds credentials.TransportCredentials) (address string, service *asks) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	service = &asks{callers: make(chan spiffeid.ID, 10)}
	server := grpc.NewServer(grpc.Creds(creds))
	healthpb.RegisterHealthServer(server, service)
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Stop(); <-done })
	return listener.Addr().String(), service
}

// check asks once, and returns who answered.
func check(t *testing.T, address string, creds credentials.TransportCredentials) (answered spiffeid.ID, err error) {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var p peer.Peer
	if _, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{}, grpc.Peer(&p)); err != nil {
		return spiffeid.ID{}, err
	}
	return pandogrpc.PeerID(peer.NewContext(ctx, &p))
}

func TestBothSidesKnowEachOther(t *testing.T) {
	source := clienttest.New(t, clienttest.Options{}).Open(t, "spiffe://example.org/web")
	address, service := serve(t, pandogrpc.ServerCredentials(source, client.AuthorizeID(source.ID())))
	creds := pandogrpc.ClientCredentials(source, client.AuthorizeID(source.ID()))
	named := creds.Clone()
	if err := named.OverrideServerName("web.internal"); err != nil || named.Info().ServerName != "web.internal" || creds.Info().ServerName != "" { //nolint:staticcheck // deprecated, and a part of the interface
		t.Errorf("override: %v, %+v, %+v", err, named.Info(), creds.Info())
	}
	for _, c := range []credentials.TransportCredentials{creds, named} {
		answered, err := check(t, address, c)
		if err != nil || answered != source.ID() {
			t.Fatalf("answered by %v, %v, want %v", answered, err, source.ID())
		}
		if caller := <-service.callers; caller != source.ID() {
			t.Errorf("caller %v, want %v", caller, source.ID())
		}
	}
}

func TestWhoIsNotAllowedIsRefused(t *testing.T) {
	source := clienttest.New(t, clienttest.Options{}).Open(t, "spiffe://example.org/web")
	nobody, self := client.AuthorizeID(), client.AuthorizeID(source.ID())
	strict, _ := serve(t, pandogrpc.ServerCredentials(source, nobody))
	open, _ := serve(t, pandogrpc.ServerCredentials(source, self))
	foreign := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}
	for name, test := range map[string]struct {
		address string
		creds   credentials.TransportCredentials
	}{
		"a client that the server does not allow": {strict, pandogrpc.ClientCredentials(source, self)},
		"a server that the client does not allow": {open, pandogrpc.ClientCredentials(source, nobody)},
		"a client without a certificate":          {open, credentials.NewTLS(foreign)},
		"a client without TLS":                    {open, insecure.NewCredentials()},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := check(t, test.address, test.creds); status.Code(err) != codes.Unavailable {
				t.Errorf("error %v, want %v", err, codes.Unavailable)
			}
		})
	}
}

func TestAListenerDecidesWhetherPlaintextIsServed(t *testing.T) {
	source := clienttest.New(t, clienttest.Options{}).Open(t, "spiffe://example.org/web")
	ours := client.AuthorizeID(source.ID())
	listener := source.Listener(nil, client.ListenerConfig{Mode: client.ModePermissive, Authorize: ours, NextProtos: []string{"h2"}})
	defer listener.Close()
	address, service := serve(t, pandogrpc.ListenerCredentials(listener))
	mutual := pandogrpc.ClientCredentials(source, ours)
	for _, test := range []struct {
		mode              client.Mode
		plaintext, mutual codes.Code
	}{
		{client.ModePermissive, codes.PermissionDenied, codes.OK}, // the service wants to know who calls
		{client.ModeStrict, codes.Unavailable, codes.OK},
		{client.ModeDisabled, codes.PermissionDenied, codes.Unavailable},
	} {
		if err := listener.SetMode(test.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := check(t, address, insecure.NewCredentials()); status.Code(err) != test.plaintext {
			t.Errorf("%s: plaintext: %v, want %v", test.mode, err, test.plaintext)
		}
		answered, err := check(t, address, mutual)
		if status.Code(err) != test.mutual {
			t.Errorf("%s: mutual TLS: %v, want %v", test.mode, err, test.mutual)
		}
		if err == nil && (answered != source.ID() || <-service.callers != source.ID()) {
			t.Errorf("%s: answered by %v", test.mode, answered)
		}
	}
}

func TestAPeerThatDoesNotSpeakHTTP2IsRefused(t *testing.T) {
	source := clienttest.New(t, clienttest.Options{}).Open(t, "spiffe://example.org/web")
	address, _ := serve(t, pandogrpc.ServerCredentials(source, client.AuthorizeID(source.ID())))
	conn, err := tls.Dial("tcp", address, source.ClientTLS(client.AuthorizeID(source.ID()))) // no ALPN
	if err == nil {
		_, err = conn.Read(make([]byte, 1))
		_ = conn.Close()
	}
	if err == nil {
		t.Error("a connection without HTTP/2 is kept")
	}
}

func TestMisuse(t *testing.T) {
	source := clienttest.New(t, clienttest.Options{}).Open(t, "spiffe://example.org/web")
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	ours := client.AuthorizeID(source.ID())
	if _, _, err := pandogrpc.ServerCredentials(source, ours).ClientHandshake(t.Context(), "", here); err == nil {
		t.Error("a server's credentials dial")
	}
	if _, _, err := pandogrpc.ClientCredentials(source, ours).ServerHandshake(there); err == nil {
		t.Error("a client's credentials accept")
	}
	for name, ctx := range map[string]context.Context{
		"no call": t.Context(),
		"no TLS":  peer.NewContext(t.Context(), &peer.Peer{}),
	} {
		if _, err := pandogrpc.PeerID(ctx); err == nil || !strings.HasPrefix(err.Error(), "pandogrpc: ") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("no Authorizer, and no panic")
		}
	}()
	pandogrpc.ServerCredentials(source, nil)
}
