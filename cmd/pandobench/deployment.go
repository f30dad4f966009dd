package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "github.com/pando-ca/pando/api/v1"
	"github.com/pando-ca/pando/internal/pgserver"
)

const (
	startTimeout = 30 * time.Second
	trustDomain  = "bench.example.org"
	clientID     = "spiffe://" + trustDomain + "/bench"
)

// deployment is a real pando, made with init and run with serve, on a store of its own.
type deployment struct {
	dir      string
	grpc     string
	rest     string
	server   *exec.Cmd
	log      *bytes.Buffer
	postgres *pgserver.Server // nil with SQLite
	roots    *x509.CertPool
	client   tls.Certificate // the identity that is renewed
	tokens   *tokenIssuer
}

// deploy makes and starts a deployment. The binary is the one that is measured.
func deploy(ctx context.Context, binary, store, profile string) (_ *deployment, err error) {
	dir, err := os.MkdirTemp("", "pandobench-")
	if err != nil {
		return nil, err
	}
	d := &deployment{dir: dir, log: new(bytes.Buffer)}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("deploy on %s: %w", store, err), d.close())
		}
	}()
	args := []string{"init", "--trust-domain", trustDomain, "--data", d.data(), "--context", "none"}
	if store == "postgres" {
		// Durable: fsync and full-page writes on; synchronous_commit is on by default.
		if d.postgres, err = pgserver.Start(ctx, pgserver.Config{Durable: true}); err != nil {
			return nil, err
		}
		args = append(args, "--database", d.postgres.URL("postgres"))
	}
	if out, err := exec.CommandContext(ctx, binary, args...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("init: %w: %s", err, out)
	}
	if d.tokens, err = newTokenIssuer(filepath.Join(d.dir, "jwks.json")); err != nil {
		return nil, err
	}
	if err := d.serve(ctx, binary, profile); err != nil {
		return nil, err
	}
	return d, d.enrol(ctx)
}

func (d *deployment) data() string { return filepath.Join(d.dir, "data") }

// serve starts the server on free ports, without the limits that would measure themselves.
func (d *deployment) serve(ctx context.Context, binary, profile string) error {
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	d.rest, d.grpc = ports[0], ports[1]
	d.server = exec.CommandContext(ctx, binary, "serve", "--data", d.data())
	d.server.Env = append(os.Environ(),
		"PANDO_LISTEN_REST="+d.rest, "PANDO_LISTEN_GRPC="+d.grpc, "PANDO_LISTEN_PUBLIC=", "PANDO_LISTEN_METRICS="+ports[2],
		"PANDO_LIMITS_IDENTITY_RATE=0", "PANDO_LIMITS_ADDRESS_RATE=0", "PANDO_LOG_LEVEL=warn", "PANDO_DEBUG_CPU_PROFILE="+profile,
		`PANDO_ISSUERS=[{"name":"bench","issuer":"https://bench.example.org","audiences":["pando"],"jwks_file":"`+d.tokens.file+`"}]`,
	)
	d.server.Stdout, d.server.Stderr = d.log, d.log
	if err := d.server.Start(); err != nil {
		return err
	}
	return d.await(ctx, "http://"+ports[2]+"/healthz/ready")
}

// await returns once the server says that it is ready.
func (d *deployment) await(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the server does not become ready: %s", d.log)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// enrol gives the benchmark the identity that it renews, and an entry for its JWTs.
func (d *deployment) enrol(ctx context.Context) error {
	bundle, err := os.ReadFile(filepath.Join(d.data(), "bundle.pem"))
	if err != nil {
		return err
	}
	d.roots = x509.NewCertPool()
	if !d.roots.AppendCertsFromPEM(bundle) {
		return errors.New("bundle.pem holds no certificate")
	}
	admin, err := tls.LoadX509KeyPair(filepath.Join(d.data(), "admin.crt"), filepath.Join(d.data(), "admin.key"))
	if err != nil {
		return err
	}
	conn, err := grpc.NewClient(d.grpc, grpc.WithTransportCredentials(credentials.NewTLS(d.tls(&admin))))
	if err != nil {
		return err
	}
	defer conn.Close()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return err
	}
	signed, err := apiv1.NewCertificateServiceClient(conn).SignCertificate(ctx, &apiv1.SignCertificateRequest{
		CsrDer: csr, SpiffeId: clientID, Duration: durationpb.New(24 * time.Hour),
	})
	if err != nil {
		return err
	}
	d.client = tls.Certificate{PrivateKey: key}
	for rest := []byte(signed.GetCertificateChain()); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		d.client.Certificate = append(d.client.Certificate, block.Bytes)
	}
	_, err = apiv1.NewEntryServiceClient(conn).CreateEntry(ctx, &apiv1.CreateEntryRequest{
		SpiffeId: "spiffe://" + trustDomain + "/by-jwt/{sub}", Method: "jwt", Issuer: "bench",
		Claims: map[string]string{"team": "bench"},
	})
	return err
}

// tls is how a client of the deployment connects; certificate may be nil.
func (d *deployment) tls(certificate *tls.Certificate) *tls.Config {
	cfg := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: d.roots, ServerName: "localhost"}
	if certificate != nil {
		cfg.Certificates = []tls.Certificate{*certificate}
	}
	return cfg
}

// close stops what runs and removes what was made.
func (d *deployment) close() error {
	var errs []error
	if d.server != nil && d.server.Process != nil {
		errs = append(errs, d.server.Process.Signal(syscall.SIGTERM), d.server.Wait())
	}
	if d.postgres != nil {
		errs = append(errs, d.postgres.Stop())
	}
	return errors.Join(append(errs, os.RemoveAll(d.dir))...)
}

func freePorts(n int) ([]string, error) {
	addresses := make([]string, n)
	for i := range addresses {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all are held until the last is known, so that they differ
		addresses[i] = l.Addr().String()
	}
	return addresses, nil
}
