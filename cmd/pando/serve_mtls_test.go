package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/pando-ca/pando/internal/pgserver"
	"github.com/pando-ca/pando/store/storetest/pgtest"
)

// policyLimit is within what an mTLS policy reaches every replica.
const policyLimit = time.Second

// programOf is a client with a certificate of loadID, signed by an administrator.
func (d *deployment) programOf(t *testing.T, admin *restClient) *restClient {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{"csr_der": csr, "spiffe_id": loadID})
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Chain string `json:"certificate_chain"`
	}
	postJSON(t, admin, admin.url+"/v1/certificates", string(body), &answer)
	certificate := tls.Certificate{PrivateKey: key}
	for rest := []byte(answer.Chain); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		certificate.Certificate = append(certificate.Certificate, block.Bytes)
	}
	config := d.tls(t)
	config.Certificates, config.GetClientCertificate = []tls.Certificate{certificate}, nil
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &restClient{http: &http.Client{Transport: transport, Timeout: startLimit}, url: "https://" + d.addr.REST}
}

// policyTold is the mTLS policy that a poll was answered with, and when.
type policyTold struct {
	Version string
	Rules   []struct{ Mode string }
	at      time.Time

	Overrides []struct{ ID string }
}

// followPolicy polls as who has a version.
func followPolicy(t *testing.T, c *restClient, version string) policyTold {
	t.Helper()
	var answer struct{ MTLS policyTold }
	exchangeJSON(t, c, http.MethodGet, c.url+"/v1/trust?after=1&wait=20s&mtls_version="+version, "", &answer)
	answer.MTLS.at = time.Now()
	return answer.MTLS
}

// TestAPolicyReachesTheOtherReplica of a Postgres database, where a program waits for it; and so
// does the end of an override, which no replica tells the other.
func TestAPolicyReachesTheOtherReplica(t *testing.T) {
	const rounds = 20
	database := pgtest.Start(t, pgserver.Config{})
	d := newDeployment(t, database.URL("postgres"))
	d.serve(t)
	other := d.replica(t)
	other.serve(t)
	here := d.client(t, true)
	program := other.programOf(t, here)
	known := followPolicy(t, program, "")
	var took []time.Duration
	for round := range rounds {
		answer := make(chan policyTold, 1)
		go func() { answer <- followPolicy(t, program, known.Version) }()
		time.Sleep(50 * time.Millisecond) // so that it waits, as followers do
		mode := []string{"permissive", "strict"}[round%2]
		begun := time.Now()
		exchangeJSON(t, here, http.MethodPut, here.url+"/v1/mtls/policies", `{"pattern":"/**","mode":"`+mode+`"}`, &struct{}{})
		got := <-answer
		if len(got.Rules) != 1 || got.Rules[0].Mode != mode {
			t.Fatalf("the other replica tells of %+v, want %s", got, mode)
		}
		if late := got.at.Sub(begun); late > policyLimit {
			t.Errorf("it came after %s", late)
		}
		took, known = append(took, got.at.Sub(begun)), got
	}
	slices.Sort(took)
	t.Logf("from the request to the answer at the other replica: median %s, longest %s of %d", took[rounds/2], took[rounds-1], rounds)

	var started struct {
		ExpiresAt time.Time `json:"expires_at"`
	}
	postJSON(t, here, here.url+"/v1/mtls/overrides", `{"pattern":"/load","reason":"clients are cut off","duration":"2s"}`, &started)
	in := followPolicy(t, program, known.Version)
	out := followPolicy(t, program, in.Version)
	if len(in.Overrides) != 1 || len(out.Overrides) != 0 || out.Version != known.Version {
		t.Fatalf("told %+v and then %+v", in, out)
	}
	if late := out.at.Sub(started.ExpiresAt); late < 0 || late > policyLimit {
		t.Errorf("the end of the override came %s after it", late)
	}
}

// postJSON is exchangeJSON for what is answered with 201.
func postJSON(t *testing.T, c *restClient, url, body string, answer any) {
	t.Helper()
	exchangeFor(t, c, http.StatusCreated, jsonRequest{http.MethodPost, url, body}, answer)
}
