package api_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	apiv1 "github.com/pando-ca/pando/api/v1"

	"github.com/pando-ca/pando/api/apitest"
	"github.com/pando-ca/pando/store"
)

// halfMessage calls a method of the gRPC door with the first octets of a message and waits for
// what becomes of it.
func halfMessage(t *testing.T, doors *apitest.Doors, method string) (grpcStatus string) {
	t.Helper()
	body, half := io.Pipe()
	defer half.Close()
	go func() { _, _ = half.Write([]byte{0, 0, 0x3f, 0xff, 0xff, 1, 2, 3}) }() // of 4 MiB
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+doors.Address+method, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/grpc")
	request.Header.Set("TE", "trailers")
	config := doors.TLS(apitest.Anonymous)
	config.NextProtos = []string{"h2"}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		t.Fatalf("half a message is waited for: %v", err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Fatal(err)
	}
	return response.Header.Get("Grpc-Status") + response.Trailer.Get("Grpc-Status")
}

// TestHalfMessages sends the beginning of a message and no more, as somebody without
// credentials: no method of the gRPC door waits for the rest and keeps what has come.
func TestHalfMessages(t *testing.T) {
	doors := apitest.New(t, apitest.Options{BodyTimeout: 50 * time.Millisecond})
	for _, method := range []string{
		apiv1.CertificateService_SignCertificate_FullMethodName,
		apiv1.TrustService_GetBundle_FullMethodName,
		"/grpc.health.v1.Health/Check",
		"/grpc.health.v1.Health/Watch",
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
	} {
		t.Run(method, func(t *testing.T) {
			if got := halfMessage(t, doors, method); got == "" || got == "0" {
				t.Errorf("the call ended with status %q", got)
			}
		})
	}
}

// TestAWholeMessageMayBeAnsweredLater watches the health for longer than a message may take.
func TestAWholeMessageMayBeAnsweredLater(t *testing.T) {
	doors := apitest.New(t, apitest.Options{BodyTimeout: 50 * time.Millisecond})
	watch, err := healthpb.NewHealthClient(doors.GRPC(t, apitest.Anonymous)).Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	halfMessage(t, doors, apiv1.TrustService_GetBundle_FullMethodName) // begins later and is given up
	doors.RPC.SetServing(true)
	if answer, err := watch.Recv(); err != nil || answer.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("the watch says %v, %v", answer, err)
	}
}

// held is an inserter that writes nothing, once it is let go.
type held struct{ begun, release chan struct{} }

func (h held) InsertBatch(_ context.Context, batch []*store.Issuance, _ time.Time) ([]error, error) {
	close(h.begun)
	<-h.release
	return make([]error, len(batch)), nil
}

// TestACommitMayTakeLongerThanAMessage holds a commit for longer than a message may take.
func TestACommitMayTakeLongerThanAMessage(t *testing.T) {
	inserter := held{make(chan struct{}), make(chan struct{})}
	doors := apitest.New(t, apitest.Options{BodyTimeout: 50 * time.Millisecond, Inserter: inserter})
	client := apiv1.NewCertificateServiceClient(doors.GRPC(t, apitest.Operator))
	in := &apiv1.SignCertificateRequest{Csr: pemCSR(t), SpiffeId: "spiffe://example.org/web"}
	done := make(chan error, 1)
	go func() {
		_, err := client.SignCertificate(t.Context(), in)
		done <- err
	}()
	<-inserter.begun
	halfMessage(t, doors, apiv1.TrustService_GetBundle_FullMethodName) // begins later and is given up
	close(inserter.release)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestOneLimitForBothDoors sends more than one request may hold: gRPC reads as much as a batch
// may have, and takes it for a batch only.
func TestOneLimitForBothDoors(t *testing.T) {
	doors := apitest.New(t, apitest.Options{})
	names := make([]string, 20_000)
	for i := range names {
		names[i] = fmt.Sprintf("w%d.example.org", i)
	}
	in := &apiv1.SignCertificateRequest{Csr: pemCSR(t), SpiffeId: "spiffe://example.org/web", DnsNames: names}
	tellsBoth(t, doors, apitest.Operator, signing(in), "too_large", "")
	tellsBoth(t, doors, apitest.Operator, post("/v1/entries", apiv1.EntryService_CreateEntry_FullMethodName,
		&apiv1.CreateEntryRequest{SpiffeId: "spiffe://example.org/web", Method: "join_token", DnsNames: names}, &apiv1.Entry{}), "too_large", "")
}

// TestClientCertificatesAreProven shows somebody else's certificate without its key.
func TestClientCertificatesAreProven(t *testing.T) {
	doors := apitest.New(t, apitest.Options{})
	stolen := doors.TLS(apitest.Admin)
	stolen.Certificates[0].PrivateKey = doors.TLS(apitest.Workload).Certificates[0].PrivateKey
	conn, err := (&tls.Dialer{Config: stolen}).DialContext(t.Context(), "tcp", doors.URL[len("https://"):])
	if err == nil {
		// In TLS 1.3 the client learns of the refusal when it reads.
		defer conn.Close()
		_, _ = io.WriteString(conn, "GET /v1/entries HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		if answer, err := io.ReadAll(conn); err == nil {
			t.Errorf("a certificate without its key is answered with %.200s", answer)
		}
	}
}
