package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"

	"golang.org/x/net/netutil"

	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/server/metrics"
	"github.com/pando-ca/pando/server/rest"
	"github.com/pando-ca/pando/server/rpc"
)

// door is a listener and what serves on it.
type door struct {
	name     string
	listener net.Listener

	serve    func() error                // returns nil once the door is shut
	shutdown func(context.Context) error // answers what is in flight, at most until ctx ends
}

// close closes the listener of a door that never served. It may be closed already.
func (d *door) close() { _ = d.listener.Close() }

// listen opens a listener with the configured limit of connections.
func (c *config) listen(name, address string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen.%s: %w", name, err)
	}
	if c.Limits.MaxConnections > 0 {
		listener = netutil.LimitListener(listener, c.Limits.MaxConnections)
	}
	return listener, nil
}

// openDoors opens the listeners that are configured. From here on connections queue up; they
// are served by run.
func (d *daemon) openDoors(ctx context.Context) error {
	rpcServer, err := rpc.New(rpc.Config{
		Service: d.service, Auth: d.auth, TLS: doorTLS(d.serving), Observer: d.metrics.Door("grpc"), Tracer: d.tracing.tracer(), Log: d.log,
	})
	if err != nil {
		return err
	}
	api, err := rest.New(rest.Config{
		Service: d.service, Auth: d.auth, Observer: d.metrics.Door("rest"), Tracer: d.tracing.tracer(), Log: d.log,
	})
	if err != nil {
		return err
	}
	d.health = newHealth(ctx, d, rpcServer)

	listen := &d.cfg.Listen
	if err := d.openHTTP("rest", listen.REST, rest.Server(api, doorTLS(d.serving), d.log)); err != nil {
		return err
	}
	if err := d.openRPC(listen.GRPC, rpcServer); err != nil {
		return err
	}
	if err := d.openHTTP("public", listen.Public, rest.Server(rest.Public(rest.PublicConfig{Service: d.service}), nil, d.log)); err != nil {
		return err
	}
	return d.openMetrics(listen.Metrics)
}

// doorTLS is how the TLS doors speak. A client certificate is asked for and not judged here: a
// client whose certificate is of no use any more must still be able to show a token.
func doorTLS(serving *server.Serving) *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		ClientAuth:     tls.RequestClientCert,
		GetCertificate: serving.Certificate,
		NextProtos:     []string{"h2", "http/1.1"},
	}
}

// openHTTP opens a door for an HTTP server. An empty address leaves it closed.
func (d *daemon) openHTTP(name, address string, s *http.Server) error {
	if address == "" {
		return nil
	}
	listener, err := d.cfg.listen(name, address)
	if err != nil {
		return err
	}
	d.doors = append(d.doors, newHTTPDoor(name, listener, s))
	return nil
}

func newHTTPDoor(name string, listener net.Listener, s *http.Server) *door {
	return &door{
		name: name, listener: listener,
		serve: func() error {
			var err error
			if s.TLSConfig != nil {
				err = s.ServeTLS(listener, "", "")
			} else {
				err = s.Serve(listener)
			}
			if errors.Is(err, http.ErrServerClosed) {
				return nil
			}
			return fmt.Errorf("%s door: %w", name, err)
		},
		shutdown: func(ctx context.Context) error {
			if err := s.Shutdown(ctx); err != nil {
				return errors.Join(fmt.Errorf("%s door: requests were cut off: %w", name, err), s.Close())
			}
			return nil
		},
	}
}

// openRPC opens the door for gRPC. An empty address leaves it closed.
func (d *daemon) openRPC(address string, s *rpc.Server) error {
	if address == "" {
		return nil
	}
	listener, err := d.cfg.listen("grpc", address)
	if err != nil {
		return err
	}
	d.doors = append(d.doors, &door{
		name: "grpc", listener: listener,
		serve: func() error {
			if err := s.Serve(listener); err != nil {
				return fmt.Errorf("grpc door: %w", err)
			}
			return nil
		},
		shutdown: func(ctx context.Context) error {
			drained := make(chan struct{})
			go func() {
				s.GracefulStop()
				close(drained)
			}()
			select {
			case <-drained:
				return nil
			case <-ctx.Done():
				s.Stop() // lets GracefulStop return
				<-drained
				return fmt.Errorf("grpc door: requests were cut off: %w", ctx.Err())
			}
		},
	})
	return nil
}

// openMetrics opens the door for metrics and health. An empty address leaves it closed.
func (d *daemon) openMetrics(address string) error {
	d.metrics.Watch(metrics.Sources{
		Trust: d.service, Jobs: d.scheduler, Leader: d.rotator, Roles: &d.roles, Fleet: d.service,
		CRLs: d.publisher, Overrides: d.service, Serving: d.serving.Leaf, Backup: d.service.LastBackup,
	})
	if address == "" {
		return nil
	}
	listener, err := d.cfg.listen("metrics", address)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", d.metrics.Handler())
	mux.HandleFunc("GET /healthz/live", d.health.live)
	mux.HandleFunc("GET /healthz/ready", d.health.ready)
	d.metricsAt = newHTTPDoor("metrics", listener, rest.Server(mux, nil, d.log))
	return nil
}

// allDoors are the doors that are open, in the order in which they were opened.
func (d *daemon) allDoors() []*door {
	if d.metricsAt == nil {
		return d.doors
	}
	return append(d.doors[:len(d.doors):len(d.doors)], d.metricsAt)
}

// addresses are the doors and where they are, for the log.
func (d *daemon) addresses() []any {
	set := d.service.Set()
	attributes := []any{"trust_domain", set.TrustDomain().String(), "generation", set.Generation(), "database", d.cfg.databaseName()}
	for _, door := range d.allDoors() {
		attributes = append(attributes, door.name, door.listener.Addr().String())
	}
	return attributes
}
