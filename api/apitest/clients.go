package apitest

import (
	"crypto/tls"
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/pando-ca/pando/ca/catest"
)

// Role is who knocks at a door.
type Role string

// The roles: nobody in particular, a workload with a certificate, and the administrators.
const (
	Anonymous Role = "anonymous"
	Workload  Role = "workload"
	Viewer    Role = "viewer"
	Operator  Role = "operator"
	Admin     Role = "admin"
)

// Roles lists every role, in the order of what they may do.
func Roles() []Role { return []Role{Anonymous, Workload, Viewer, Operator, Admin} }

// ID is the SPIFFE ID of a role's certificate.
func ID(role Role) string {
	if role == Workload {
		return "spiffe://" + catest.DefaultTrustDomain + "/workload"
	}
	return "spiffe://" + catest.DefaultTrustDomain + "/pando/admin/" + string(role)
}

// TLS is the client's side of TLS for a role.
func (d *Doors) TLS(role Role) *tls.Config {
	config := &tls.Config{RootCAs: d.PKI.RootPool(), ServerName: "localhost", MinVersion: tls.VersionTLS12}
	if certificate, ok := d.certificates[role]; ok {
		config.Certificates = []tls.Certificate{certificate}
	}
	return config
}

// HTTP returns a client for the REST door. It keeps its connections until the test ends.
func (d *Doors) HTTP(tb testing.TB, role Role) *http.Client {
	tb.Helper()
	transport := &http.Transport{TLSClientConfig: d.TLS(role), MaxIdleConnsPerHost: 100}
	tb.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

// GRPC returns a connection to the gRPC door. It is closed when the test ends.
func (d *Doors) GRPC(tb testing.TB, role Role) *grpc.ClientConn {
	tb.Helper()
	conn, err := grpc.NewClient("dns:///"+d.Address, grpc.WithTransportCredentials(credentials.NewTLS(d.TLS(role))))
	must(tb, err)
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}
