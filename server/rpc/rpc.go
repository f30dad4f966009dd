package rpc

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"runtime"
	"time"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	apiv1 "github.com/pando-ca/pando/api/v1"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/server/door"
)

// Observer is told of every request, for metrics.
type Observer = door.Observer

// Config is what the gRPC door needs. Fields without a default are required.
type Config struct {
	Service  *server.Service
	Auth     door.Authenticator // *auth.Authenticator
	TLS      *tls.Config        // must ask for client certificates without verifying them
	Observer Observer           // none: nothing is told
	Tracer   trace.Tracer       // none: nothing is traced
	Log      *slog.Logger       // none: discarded

	// RequestTimeout bounds the answer to one request, besides the time that it asks the
	// answer to wait. 0 means 30 seconds. A stream that watches has no such bound.
	RequestTimeout time.Duration
	// BodyTimeout bounds the arrival of one message. 0 means 10 seconds.
	BodyTimeout time.Duration
	// MaxConnectionAge is after how long a client is asked to connect anew, so that load
	// spreads over new replicas. 0 means an hour. It varies by a tenth.
	MaxConnectionAge time.Duration
}

const (
	// defaultRequestTimeout is above the longest commit that the store allows, so that its
	// failure is told as such.
	defaultRequestTimeout = 30 * time.Second
	defaultConnectionAge  = time.Hour
	// connectionGrace is how long calls in flight have when a connection grows too old.
	connectionGrace = time.Minute
	// maxIdle is for connections that nothing was asked on.
	maxIdle = 15 * time.Minute
	// handshakeTimeout bounds TLS and the HTTP/2 preface.
	handshakeTimeout = 5 * time.Second
	// minPing is how often a client may ping; those that do so more often are cut off.
	minPing = 30 * time.Second
	// maxHeaderBytes is enough for the largest JWT that is accepted, and a few names.
	maxHeaderBytes = 32 << 10
	// maxStreams is how many calls one connection may have open.
	maxStreams = 1000
	// bufferBytes holds a whole answer with its chain and bundle, so that it leaves in one
	// write and one TLS record.
	bufferBytes = 16 << 10
)

// Server is the gRPC door. Its owner serves and stops it as any [grpc.Server].
type Server struct {
	*grpc.Server
	health  *health.Server
	service *server.Service
}

// New returns the gRPC door. Until SetServing says otherwise, its health is NOT_SERVING.
func New(cfg Config) (*Server, error) {
	if cfg.Service == nil || cfg.Auth == nil || cfg.TLS == nil {
		return nil, errors.New("rpc: the configuration lacks a service, an authenticator or TLS")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.RequestTimeout == 0 {
		cfg.RequestTimeout = defaultRequestTimeout
	}
	if cfg.BodyTimeout == 0 {
		cfg.BodyTimeout = defaultBodyTimeout
	}
	if cfg.MaxConnectionAge == 0 {
		cfg.MaxConnectionAge = defaultConnectionAge
	}
	calls := &calls{
		gate:        door.Gate{Name: "grpc", Auth: cfg.Auth, Observer: cfg.Observer, Tracer: cfg.Tracer, Log: cfg.Log},
		timeout:     cfg.RequestTimeout,
		bodyTimeout: cfg.BodyTimeout,
	}
	s := &Server{Server: grpc.NewServer(options(&cfg, calls)...), health: health.NewServer(), service: cfg.Service}
	apiv1.RegisterCertificateServiceServer(s, &certificates{service: cfg.Service})
	apiv1.RegisterRevocationServiceServer(s, &revocations{service: cfg.Service})
	apiv1.RegisterIdentityServiceServer(s, &identities{service: cfg.Service})
	apiv1.RegisterTrustServiceServer(s, &trust{service: cfg.Service})
	apiv1.RegisterEntryServiceServer(s, &entries{service: cfg.Service})
	apiv1.RegisterJoinTokenServiceServer(s, &joinTokens{service: cfg.Service})
	apiv1.RegisterAuthorityServiceServer(s, &authorities{service: cfg.Service})
	apiv1.RegisterIncidentServiceServer(s, &incidents{service: cfg.Service})
	apiv1.RegisterScheduleServiceServer(s, &schedule{service: cfg.Service})
	apiv1.RegisterAuditServiceServer(s, &audit{service: cfg.Service})
	apiv1.RegisterDiagnosisServiceServer(s, &diagnosis{service: cfg.Service})
	apiv1.RegisterMTLSServiceServer(s, &mtlsModes{service: cfg.Service})
	apiv1.RegisterOverviewServiceServer(s, &overview{service: cfg.Service})
	healthpb.RegisterHealthServer(s, s.health)
	reflection.Register(s)
	s.SetServing(false)
	return s, nil
}

// options are the limits of a door that strangers knock at, and what makes a call cheap: a
// pool of goroutines whose stacks have grown already, and buffers that fit one answer and
// belong to a connection only while it writes.
func options(cfg *Config, calls *calls) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.Creds(credentials.NewTLS(cfg.TLS)),
		grpc.InTapHandle(calls.await),
		grpc.UnaryInterceptor(calls.unary),
		grpc.StreamInterceptor(calls.stream),
		grpc.MaxRecvMsgSize(door.MaxBatchBody),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: minPing, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: maxIdle, MaxConnectionAge: cfg.MaxConnectionAge, MaxConnectionAgeGrace: connectionGrace,
		}),
		grpc.NumStreamWorkers(uint32(4 * runtime.GOMAXPROCS(0))),
		grpc.WriteBufferSize(bufferBytes),
		grpc.ReadBufferSize(bufferBytes),
	}
}

// GracefulStop ends the waiting of those who wait for a trust bundle, and then stops as
// [grpc.Server.GracefulStop] does.
func (s *Server) GracefulStop() {
	s.service.Drain()
	s.Server.GracefulStop()
}

// SetServing sets what the health service says of the door as a whole and of each service.
func (s *Server) SetServing(serving bool) {
	status := healthpb.HealthCheckResponse_NOT_SERVING
	if serving {
		status = healthpb.HealthCheckResponse_SERVING
	}
	for name := range s.GetServiceInfo() {
		s.health.SetServingStatus(name, status)
	}
	s.health.SetServingStatus("", status)
}
