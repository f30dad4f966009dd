package api_test

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"testing"

	"google.golang.org/grpc/metadata"

	apiv1 "github.com/pando-ca/pando/api/v1"

	"github.com/pando-ca/pando/api/apitest"
	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
)

// TestEnrolment is the way of a workload: an operator makes an entry and a token, the token
// gets one certificate, through either door, for one key.
func TestEnrolment(t *testing.T) {
	doors := apitest.New(t, apitest.Options{})
	operator := doors.GRPC(t, apitest.Operator)
	entry, err := apiv1.NewEntryServiceClient(operator).CreateEntry(t.Context(), &apiv1.CreateEntryRequest{
		SpiffeId: "spiffe://example.org/web", Method: "join_token", DnsNames: []string{"web.example.org"},
	})
	if err != nil {
		t.Fatal(err)
	}
	token, err := apiv1.NewJoinTokenServiceClient(operator).CreateJoinToken(t.Context(), &apiv1.CreateJoinTokenRequest{EntryId: entry.GetId()})
	if err != nil {
		t.Fatal(err)
	}
	_, der := catest.CSR(t, ca.ECDSAP256)
	first := signWithToken(t, doors, token.GetToken(), der)
	if first.GetSpiffeId() != "spiffe://example.org/web" || len(first.GetDnsNames()) != 1 {
		t.Errorf("the token gets %s %v", first.GetSpiffeId(), first.GetDnsNames())
	}

	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "bearer "+token.GetToken())
	client := apiv1.NewCertificateServiceClient(doors.GRPC(t, apitest.Anonymous))
	again, err := client.SignCertificate(ctx, &apiv1.SignCertificateRequest{CsrDer: der})
	if err != nil || again.GetSerial() != first.GetSerial() || again.GetCertificateChain() != first.GetCertificateChain() {
		t.Errorf("a lost answer is not given again: %v, %v", again.GetSerial(), err)
	}
	_, thief := catest.CSR(t, ca.ECDSAP256)
	_, err = client.SignCertificate(ctx, &apiv1.SignCertificateRequest{CsrDer: thief})
	if info, _ := errorInfo(err); info.GetReason() != "token_used" {
		t.Errorf("another key gets %v", err)
	}
	_, err = client.SignCertificates(ctx, &apiv1.SignCertificatesRequest{Requests: []*apiv1.SignCertificateRequest{{CsrDer: thief}}})
	if info, _ := errorInfo(err); info.GetReason() != "permission_denied" {
		t.Errorf("a batch gets %v", err)
	}
}

// signWithToken signs over REST, as a workload without a certificate.
func signWithToken(t *testing.T, doors *apitest.Doors, token string, der []byte) *apiv1.SignCertificateResponse {
	t.Helper()
	csr := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	body, err := json.Marshal(map[string]string{"csr": csr})
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, doors.URL+"/v1/certificates", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := doors.HTTP(t, apitest.Anonymous).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusCreated {
		t.Fatalf("answered %s: %s %v", response.Status, answer, err)
	}
	signed := &apiv1.SignCertificateResponse{}
	fromJSON(t, answer, signed)
	return signed
}
