package api_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	apiv1 "github.com/pando-ca/pando/api/v1"

	"github.com/pando-ca/pando/api/apitest"
	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/store"
)

// written is an inserter that writes nothing: what is left is the cost of the doors and of
// the signature.
type written struct{}

func (written) InsertBatch(_ context.Context, batch []*store.Issuance, _ time.Time) ([]error, error) {
	return make([]error, len(batch)), nil
}

// BenchmarkRenew renews over kept mutual-TLS connections, the steady load of a fleet. Client
// and server share the cores.
func BenchmarkRenew(b *testing.B) {
	doors := apitest.New(b, apitest.Options{Inserter: written{}})
	_, der := catest.CSR(b, ca.ECDSAP256)
	b.Run("gRPC", func(b *testing.B) {
		client := apiv1.NewCertificateServiceClient(doors.GRPC(b, apitest.Workload))
		in := &apiv1.RenewCertificateRequest{CsrDer: der}
		b.ReportAllocs()
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := client.RenewCertificate(context.Background(), in); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
	b.Run("REST", func(b *testing.B) {
		client := doors.HTTP(b, apitest.Workload)
		body, err := json.Marshal(map[string]any{"csr_der": der})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				response, err := client.Post(doors.URL+"/v1/certificates/renew", "application/json", bytes.NewReader(body))
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
				if response.StatusCode != http.StatusCreated {
					b.Errorf("answered %s", response.Status)
					return
				}
			}
		})
	})
	b.Run("no door", func(b *testing.B) { benchSigning(b, doors, der) })
}

// benchSigning is what both doors stand before.
func benchSigning(b *testing.B, doors *apitest.Doors, der []byte) {
	set := doors.PKI.Set()
	id, err := spiffeid.Parse(apitest.ID(apitest.Workload))
	if err != nil {
		b.Fatal(err)
	}
	usage := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	now := time.Now().Truncate(time.Second)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			csr, err := ca.ParseCSR(der)
			if err != nil {
				b.Error(err)
				return
			}
			leaf := ca.Leaf{PublicKey: csr.PublicKey, ID: id, ExtKeyUsage: usage, NotBefore: now, NotAfter: now.Add(time.Hour)}
			if _, err := set.Issuer().Sign(leaf); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
