package client

import (
	"crypto/x509"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The golden files are what the server's doors are tested against: this side of the wire
// must send and understand the same.

func golden(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "api", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestRequestsAreThoseOfTheGoldenFiles(t *testing.T) {
	for file, request := range map[string]signRequest{
		"sign-request.json": {
			SPIFFEID: "spiffe://example.org/web", DNSNames: []string{"web.example.org"},
			Profile: "workload", Duration: wireDuration(time.Hour),
		},
		"renew-request.json": {},
	} {
		t.Run(file, func(t *testing.T) {
			var want, got map[string]any
			if err := json.Unmarshal(golden(t, file), &want); err != nil {
				t.Fatal(err)
			}
			csr, ok := want["csr"].(string)
			if !ok {
				t.Fatalf("csr is %v", want["csr"])
			}
			request.CSR = csr
			if err := json.Unmarshal(must(json.Marshal(request)), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("request (-golden +ours):\n%s", diff)
			}
		})
	}
}

func TestAnswersOfTheGoldenFilesAreUnderstood(t *testing.T) {
	for _, file := range []string{"sign-response.json", "renew-response.json"} {
		t.Run(file, func(t *testing.T) {
			var a answer
			var said struct {
				Serial    string    `json:"serial"`
				SPIFFEID  string    `json:"spiffe_id"`
				Issuer    string    `json:"issuer"`
				NotBefore time.Time `json:"not_before"`
				NotAfter  time.Time `json:"not_after"`
			}
			data := golden(t, file)
			if err := json.Unmarshal(data, &a); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(data, &said); err != nil {
				t.Fatal(err)
			}
			configured := must(configuredTrust([]byte(a.Bundle.Roots)))
			next, err := configured.newer(a.Bundle)
			if err != nil || next.sequence != a.Bundle.Sequence || next.sequence == 0 {
				t.Fatalf("bundle: %+v, %v", next, err)
			}
			chain := must(parseCertificates([]byte(a.CertificateChain), maxChain))
			if n := chain[0].SerialNumber; n.Text(16) != trimZeros(said.Serial) {
				t.Errorf("serial %x, want %s", n, said.Serial)
			}
			id, _, err := next.verify(chain, x509.ExtKeyUsageClientAuth, said.NotBefore.Add(time.Minute))
			if err != nil || id.String() != said.SPIFFEID {
				t.Errorf("verified %s, %v, want %s", id, err, said.SPIFFEID)
			}
			if authorityID(chain[1]) != said.Issuer {
				t.Errorf("issuer %s, want %s", authorityID(chain[1]), said.Issuer)
			}
			if a.Renewal.Start.Before(said.NotBefore) || a.Renewal.End.After(said.NotAfter) || !a.Renewal.End.After(a.Renewal.Start) {
				t.Errorf("renewal window %+v", a.Renewal)
			}
		})
	}
}

func TestTheGoldenTrustIsUnderstood(t *testing.T) {
	var a trustAnswer
	data := golden(t, "trust.json")
	if err := json.Unmarshal(data, &a); err != nil {
		t.Fatal(err)
	}
	configured := must(configuredTrust([]byte(a.Bundle.Roots)))
	u, err := learned(data, configured)
	if err != nil || u.trust == configured || u.trust.sequence != a.Bundle.Sequence || u.trust.sequence == 0 {
		t.Fatalf("update: %+v, %v", u, err)
	}
	if a.Renewal == nil || u.window.start.IsZero() || !u.window.end.After(u.window.start) {
		t.Errorf("window: %+v", u.window)
	}
}

func trimZeros(s string) string {
	for len(s) > 1 && s[0] == '0' {
		s = s[1:]
	}
	return s
}

func TestTheGoldenRefusalIsUnderstood(t *testing.T) {
	got := refusal("https://pando.test", &http.Response{StatusCode: 403}, golden(t, "error.json"), time.Now())
	if got.Code != "policy_denied" || got.Rule != "identity" || got.Detail == "" || got.RequestID == "" || !got.Final() {
		t.Errorf("refusal: %+v", got)
	}
}

func TestTheGoldenPolicyIsUnderstood(t *testing.T) {
	data := golden(t, "trust-mtls.json")
	var a trustAnswer
	if err := json.Unmarshal(data, &a); err != nil {
		t.Fatal(err)
	}
	u, err := learned(data, must(configuredTrust([]byte(a.Bundle.Roots))))
	if err != nil {
		t.Fatal(err)
	}
	policy, err := readPolicy(u.policy)
	if err != nil || len(policy.Rules) == 0 || len(policy.Overrides) == 0 {
		t.Fatalf("policy %+v, %v", policy, err)
	}
	var want, got map[string]any
	if err := json.Unmarshal(u.policy, &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(must(json.Marshal(policy)), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("policy (-golden +ours):\n%s", diff)
	}
}

func TestReportsAreThoseOfTheGoldenFile(t *testing.T) {
	at := func(hour, second int) time.Time { return time.Date(2020, 1, 2, hour, 4, second, 0, time.UTC) }
	var want, got map[string]any
	if err := json.Unmarshal(golden(t, "mtls-report-request.json"), &want); err != nil {
		t.Fatal(err)
	}
	ours := newReport("0123456789abcdef", []ListenerStatus{
		{Name: "default", Mode: ModePermissive, From: FromPolicy, Since: at(3, 5), LastMTLS: at(4, 5), LastPlaintext: at(4, 6)},
		{Name: "admin", Mode: ModeStrict, From: FromCode, Since: at(3, 5)},
	})
	if err := json.Unmarshal(must(json.Marshal(ours)), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("report (-golden +ours):\n%s", diff)
	}
}
