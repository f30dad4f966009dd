package apitest

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/server/auth"
	"github.com/pando-ca/pando/server/door"
	"github.com/pando-ca/pando/server/rest"
	"github.com/pando-ca/pando/server/rpc"
	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/sqlite"
)

// Options says how the doors are to be. The zero value is right for most tests.
type Options struct {
	Log            *slog.Logger       // default: discarded
	Observer       door.Observer      // default: none
	Tracer         trace.Tracer       // default: none
	Inserter       store.Inserter     // default: the store; writes records
	Records        store.Records      // default: the store; reads records
	Acks           server.Acks        // default: the store; keeps acknowledgements
	Rotation       server.Rotation    // default: none
	Progress       server.Progress    // default: none
	Jobs           server.Jobs        // default: none
	Imports        server.Imports     // default: none
	Orders         server.Orders      // default: none
	Incidents      server.Incidents   // default: none
	Diagnostics    server.Diagnostics // default: none
	Polls          server.PollLimits
	Authenticate   Authenticate  // default: none; stands before the authenticator
	RequestTimeout time.Duration // default: that of the doors
	BodyTimeout    time.Duration // default: that of the doors
	IdentityRate   float64       // default: no limit
	WrapREST       func(http.Handler) http.Handler
}

// Authenticate replaces the authenticator of both doors, for tests of how they treat it.
type Authenticate func(ctx context.Context, c auth.Credentials, now time.Time) (policy.Caller, error)

// Authenticate implements door.Authenticator.
func (f Authenticate) Authenticate(ctx context.Context, c auth.Credentials, now time.Time) (policy.Caller, error) {
	return f(ctx, c, now)
}

// Doors is a running REST and a running gRPC door. It is safe for concurrent use.
type Doors struct {
	URL     string // of the REST door, without a path
	Address string // of the gRPC door
	PKI     *catest.CA
	Store   *sqlite.Store
	Service *server.Service
	RPC     *rpc.Server
	Auth    door.Authenticator // of both

	certificates map[Role]tls.Certificate
}

// New starts both doors. They stop when the test ends.
func New(tb testing.TB, o Options) *Doors {
	tb.Helper()
	d := &Doors{PKI: catest.New(tb, catest.Options{}), certificates: make(map[Role]tls.Certificate)}
	var err error
	d.Store, err = sqlite.OpenMemory(context.Background())
	must(tb, err)
	tb.Cleanup(func() { _ = d.Store.Close() })
	for _, role := range Roles() {
		if role != Anonymous {
			d.certificates[role] = d.enrol(tb, ID(role))
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	d.Auth = d.serve(tb, &o)
	d.listenREST(tb, o)
	d.listenRPC(tb, o)
	return d
}

// serve makes the service and its authenticator.
func (d *Doors) serve(tb testing.TB, o *Options) door.Authenticator {
	tb.Helper()
	if o.Inserter == nil {
		o.Inserter = d.Store
	}
	if o.Records == nil {
		o.Records = d.Store
	}
	if o.Acks == nil {
		o.Acks = d.Store
	}
	batcher, err := store.NewBatcher(store.BatcherConfig{Inserter: o.Inserter})
	must(tb, err)
	tb.Cleanup(batcher.Close)
	d.Service, err = server.New(server.Config{
		Set: d.PKI.Set(), Issuances: batcher, Records: o.Records, Entries: d.Store, Tokens: d.Store, Revocations: d.Store,
		Acks: o.Acks, Holdings: d.Store, Fleet: d.Store, MTLS: d.Store, Rotation: o.Rotation, Progress: o.Progress, Imports: o.Imports, Jobs: o.Jobs, Audits: d.Store, Orders: o.Orders, Incidents: o.Incidents, Polls: o.Polls, Diagnostics: o.Diagnostics, Version: "v0.0.0-test",
		Administrators: d.administrators(tb), IdentityRate: o.IdentityRate, Log: o.Log,
	})
	must(tb, err)
	var following sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	following.Go(func() { _ = d.Service.Run(ctx) })
	following.Go(func() {
		_ = d.Service.Follow(ctx, server.FollowConfig{
			Store: still{d.Store, d.Service}, Revocations: d.Store,
			Open: func(*store.Generation) (*ca.Set, error) { return nil, errors.New("there is no other generation") },
		})
	})
	tb.Cleanup(func() { stop(); following.Wait() })
	if o.Authenticate != nil {
		return o.Authenticate
	}
	authenticator, err := auth.New(auth.Config{Peers: d.Service, Tokens: d.Service, Log: o.Log})
	must(tb, err)
	return authenticator
}

// still is a store whose generation is always that of the service: tests say when it changes.
type still struct {
	*sqlite.Store
	service *server.Service
}

// GenerationNumber implements server.Generations.
func (s still) GenerationNumber(context.Context) (uint64, error) {
	return s.service.Set().Generation(), nil
}

func (d *Doors) administrators(tb testing.TB) map[spiffeid.ID]policy.Role {
	tb.Helper()
	administrators := make(map[spiffeid.ID]policy.Role)
	for _, role := range Roles() {
		if !policy.Role(role).Valid() {
			continue
		}
		id, err := spiffeid.Parse(ID(role))
		must(tb, err)
		administrators[id] = policy.Role(role)
	}
	return administrators
}

func (d *Doors) listenREST(tb testing.TB, o Options) {
	tb.Helper()
	handler, err := rest.New(rest.Config{
		Service: d.Service, Auth: d.Auth, Observer: o.Observer, Tracer: o.Tracer, Log: o.Log,
		RequestTimeout: o.RequestTimeout, BodyTimeout: o.BodyTimeout,
	})
	must(tb, err)
	if o.WrapREST != nil {
		handler = o.WrapREST(handler)
	}
	listener := listen(tb)
	d.URL = "https://" + listener.Addr().String()
	httpServer := rest.Server(handler, d.ServerTLS(tb), o.Log)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := httpServer.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			tb.Errorf("REST door: %v", err)
		}
	}()
	tb.Cleanup(func() { _ = httpServer.Close(); <-done })
}

func (d *Doors) listenRPC(tb testing.TB, o Options) {
	tb.Helper()
	var err error
	d.RPC, err = rpc.New(rpc.Config{
		Service: d.Service, Auth: d.Auth, TLS: d.ServerTLS(tb), Observer: o.Observer, Tracer: o.Tracer, Log: o.Log,
		RequestTimeout: o.RequestTimeout, BodyTimeout: o.BodyTimeout,
	})
	must(tb, err)
	listener := listen(tb)
	d.Address = listener.Addr().String()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := d.RPC.Serve(listener); err != nil {
			tb.Errorf("gRPC door: %v", err)
		}
	}()
	tb.Cleanup(func() { d.RPC.Stop(); <-done })
}

// ServerTLS is the server's side of TLS: it asks for a client certificate and leaves its
// verification to the authenticator.
func (d *Doors) ServerTLS(tb testing.TB) *tls.Config {
	tb.Helper()
	serving := d.PKI.Issue(tb, "spiffe://"+catest.DefaultTrustDomain+"/pando/server", catest.Leaf{DNSNames: []string{"localhost"}})
	return &tls.Config{Certificates: []tls.Certificate{serving}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
}

func listen(tb testing.TB) net.Listener {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(tb, err)
	return listener
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// enrol issues a certificate with a record, as if the doors had issued it.
func (d *Doors) enrol(tb testing.TB, id string) tls.Certificate {
	tb.Helper()
	certificate := d.PKI.Issue(tb, id, catest.Leaf{})
	leaf := certificate.Leaf
	serial, ok := ca.SerialOf(leaf)
	if !ok {
		tb.Fatalf("the serial number of %s is not one of Pando's", id)
	}
	hash, err := ca.HashPublicKey(leaf.PublicKey)
	must(tb, err)
	record := store.Record{
		Serial: store.Serial(serial), SPIFFEID: id, Profile: policy.ProfileWorkload, Issuer: d.PKI.Set().Issuer().ID(),
		KeyHash: hash, KeyAlgorithm: string(ca.ECDSAP256), IssuedAt: leaf.NotBefore, NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
		Method: string(policy.MethodInternal), Caller: "apitest", Certificate: leaf.Raw,
	}
	errs, err := d.Store.InsertBatch(context.Background(), []*store.Issuance{{Record: record}}, leaf.NotBefore)
	must(tb, err)
	must(tb, errs[0])
	return certificate
}
