package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	grpctls "google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	apiv1 "github.com/pando-ca/pando/api/v1"
)

// rpcConn is a connection to the gRPC door as the administrator.
func (d *deployment) rpcConn(t *testing.T) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(d.addr.GRPC, grpc.WithTransportCredentials(grpctls.NewTLS(d.tls(t))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// rpcRequest asks for what restClient asks for.
func rpcRequest(t *testing.T) *apiv1.SignCertificateRequest {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return &apiv1.SignCertificateRequest{CsrDer: csr, SpiffeId: loadID}
}

// signOverGRPC asks for one certificate and returns the code of the answer.
func signOverGRPC(t *testing.T, d *deployment) string {
	t.Helper()
	_, err := apiv1.NewCertificateServiceClient(d.rpcConn(t)).SignCertificate(t.Context(), rpcRequest(t))
	return status.Code(err).String()
}

// loadUntilRefused signs over both doors, each client until its first failure.
func (d *deployment) loadUntilRefused(t *testing.T, clients int) (*held, *sync.WaitGroup) {
	t.Helper()
	h := newHeld()
	var running sync.WaitGroup
	for i := range clients {
		if i%2 == 0 {
			client := d.client(t, i%4 == 0)
			running.Go(func() {
				for {
					serial, err := client.sign(context.Background())
					if err != nil {
						return
					}
					h.add(serial)
				}
			})
			continue
		}
		certificates, request := apiv1.NewCertificateServiceClient(d.rpcConn(t)), rpcRequest(t)
		running.Go(func() {
			for {
				signed, err := certificates.SignCertificate(context.Background(), request)
				if err != nil {
					return
				}
				h.add(signed.GetSerial())
			}
		})
	}
	return h, &running
}

// What was recorded was answered, and the other way round: the server that is told to stop
// cuts nobody off.
func TestDrainLosesNothing(t *testing.T) {
	for range 3 { // the moment of the signal differs
		d := newDeployment(t, "")
		p := d.serve(t)
		h, running := d.loadUntilRefused(t, 16)
		h.await(t, p, 100)
		if code := p.end(t, syscall.SIGTERM); code != exitOK {
			t.Errorf("exit code %d: %s", code, p.log)
		}
		running.Wait()
		recorded := d.recorded(t)
		if missing := h.missing(recorded); len(missing) > 0 || len(recorded) != h.count() {
			t.Errorf("%d certificates are recorded, %d were received, of which %d are not recorded", len(recorded), h.count(), len(missing))
		}
	}
}

// A load balancer has the time of lame_duck to notice.
func TestDrainIsAnnounced(t *testing.T) {
	d := newDeployment(t, "")
	d.env = append(d.env, "PANDO_TIMEOUTS_LAME_DUCK=2s")
	p := d.serve(t)
	client := d.client(t, true)
	health := healthpb.NewHealthClient(d.rpcConn(t))
	if answer, err := health.Check(t.Context(), new(healthpb.HealthCheckRequest)); err != nil || answer.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("gRPC health is %v, %v, want SERVING", answer, err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, d, p, http.StatusServiceUnavailable)
	if _, err := client.sign(t.Context()); err != nil {
		t.Errorf("a request that came before the balancer noticed: %v", err)
	}
	if answer, err := health.Check(t.Context(), new(healthpb.HealthCheckRequest)); err != nil || answer.GetStatus() != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("gRPC health is %v, %v, want NOT_SERVING", answer, err)
	}
	select {
	case <-p.done:
	case <-time.After(startLimit):
		t.Fatal("the server does not end")
	}
	if code := p.cmd.ProcessState.ExitCode(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	for _, message := range []string{"serving", "draining", "stopped"} {
		if p.logLine(message) == nil {
			t.Errorf("the log does not say %q", message)
		}
	}
}
