package main

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pando-ca/pando/ca/catest"
)

// clientOf is an anonymous client that verifies under the roots of pki.
func clientOf(t *testing.T, server *fakeServer, pki *catest.CA) *apiClient {
	t.Helper()
	trust, err := parseBundle(rootsPEM(pki))
	if err != nil {
		t.Fatal(err)
	}
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return newAPIClient(clientConfig{Server: address, Trust: trust, Timeout: time.Minute})
}

func TestServerIsKnownByItsSPIFFEID(t *testing.T) {
	pki := catest.New(t, catest.Options{})
	other := catest.New(t, catest.Options{TrustDomain: "other.org"})
	twin := catest.New(t, catest.Options{})
	for name, tc := range map[string]struct {
		serves *catest.CA
		id     string
		want   string // in the error; empty: trusted
	}{
		"Pando's own identity":                      {pki, serverID, ""},
		"a workload with a good certificate":        {pki, "spiffe://example.org/web", "it is spiffe://example.org/web, not " + serverID},
		"an administrator":                          {pki, "spiffe://example.org/pando/admin/ann", "not " + serverID},
		"a Pando server of another trust domain":    {other, "spiffe://other.org/pando/server", "its certificate"},
		"the same identity under an unknown root":   {twin, serverID, "its certificate"},
		"an identity that begins like Pando's own":  {pki, serverID + "/x", "not " + serverID},
		"an identity that ends before Pando's ends": {pki, "spiffe://example.org/pando", "not " + serverID},
	} {
		t.Run(name, func(t *testing.T) {
			served := false
			s := newFakeServer(t, tc.serves, tc.id, func(w http.ResponseWriter, _ *http.Request) {
				served = true
				fmt.Fprint(w, "{}")
			})
			err := clientOf(t, s, pki).call(t.Context(), apiRequest{method: "GET", path: entriesPath}, &entryPageJSON{})
			if tc.want == "" {
				if err != nil || !served {
					t.Fatalf("call: %v, served %v", err, served)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "is not trusted") {
				t.Errorf("error %q lacks %q", err, tc.want)
			}
			if exitCode(err) != exitFailed {
				t.Errorf("exit code %d: to try again does not help", exitCode(err))
			}
			if served {
				t.Error("the server got a request")
			}
		})
	}
}

func TestServerVerification(t *testing.T) {
	pki := catest.New(t, catest.Options{})
	trust, err := parseBundle(rootsPEM(pki))
	if err != nil {
		t.Fatal(err)
	}
	good := pki.Issue(t, serverID, catest.Leaf{}).Leaf
	issuer := pki.Set().Issuer().Certificate()
	chain := []*x509.Certificate{good, issuer}
	for name, tc := range map[string]struct {
		chain []*x509.Certificate
		at    time.Time
		want  bool
	}{
		"a valid certificate":                 {chain, good.NotBefore.Add(time.Minute), true},
		"in its last second":                  {chain, good.NotAfter, true},
		"an expired one":                      {chain, good.NotAfter.Add(time.Second), false},
		"one that is not yet valid":           {chain, good.NotBefore.Add(-time.Second), false},
		"without its intermediate":            {chain[:1], good.NotBefore.Add(time.Minute), false},
		"the intermediate in place of a leaf": {chain[1:], good.NotBefore.Add(2 * time.Minute), false},
		"no certificate":                      {nil, good.NotBefore.Add(time.Minute), false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := trust.verifyServer(tc.chain, tc.at); (err == nil) != tc.want {
				t.Errorf("verifyServer: %v", err)
			}
		})
	}
}

func TestErrorsOfTheServer(t *testing.T) {
	pki := catest.New(t, catest.Options{})
	problem := "application/problem+json"
	for name, tc := range map[string]struct {
		status int
		media  string
		retry  string
		body   string
		want   string
		code   int
	}{
		"a denial names the rule": {403, problem, "",
			`{"detail":"the caller may not have spiffe://example.org/db","code":"policy_denied","rule":"identity","request_id":"r1"}`,
			"the caller may not have spiffe://example.org/db (code policy_denied, rule identity, request r1)", exitDenied},
		"no credentials": {401, problem, "", `{"detail":"credentials are required","code":"unauthenticated","request_id":"r2"}`,
			"credentials are required (code unauthenticated, request r2)", exitDenied},
		"no such object": {404, problem, "", `{"detail":"there is no such object","code":"not_found","request_id":"r3"}`,
			"there is no such object (code not_found, request r3)", exitNotFound},
		"a bad CSR": {400, problem, "", `{"detail":"certificate request: bad","code":"invalid_csr","request_id":"r4"}`,
			"certificate request: bad (code invalid_csr, request r4)", exitFailed},
		"overload says when to come back": {503, problem, "2", `{"detail":"try again","code":"unavailable","request_id":"r5"}`,
			"try again (code unavailable, request r5, try again in 2 s)", exitUnavailable},
		"too many requests": {429, problem, "1", `{"detail":"slower","code":"rate_limited","request_id":"r6"}`,
			"slower (code rate_limited, request r6, try again in 1 s)", exitUnavailable},
		"an escape sequence stays one harmless line": {403, problem, "", `{"detail":"a\n\u001b[31mb","code":"policy_denied","request_id":"r7"}`,
			`a\n\x1b[31mb (code policy_denied, request r7)`, exitDenied},
		"a proxy that is not Pando":  {502, "text/html", "", "<html>", "answered 502 Bad Gateway, not as Pando does", exitUnavailable},
		"another program's 404":      {404, "text/plain", "", "404 page not found", "answered 404 Not Found, not as Pando does", exitFailed},
		"a redirect is not followed": {302, "text/plain", "", "", "answered 302 Found, not as Pando does", exitFailed},
	} {
		t.Run(name, func(t *testing.T) {
			requests := 0
			s := newFakeServer(t, pki, serverID, func(w http.ResponseWriter, _ *http.Request) {
				requests++
				w.Header().Set("Content-Type", tc.media)
				if tc.retry != "" {
					w.Header().Set("Retry-After", tc.retry)
				}
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(tc.status)
				fmt.Fprint(w, tc.body)
			})
			err := clientOf(t, s, pki).call(t.Context(), apiRequest{method: "GET", path: entriesPath}, nil)
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q, want %q", err, tc.want)
			}
			if exitCode(err) != tc.code {
				t.Errorf("exit code %d, want %d", exitCode(err), tc.code)
			}
			if requests != 1 {
				t.Errorf("%d requests", requests)
			}
		})
	}
}

func TestServerAwayIsWorthAnotherTry(t *testing.T) {
	pki := catest.New(t, catest.Options{})
	s := newFakeServer(t, pki, serverID, func(http.ResponseWriter, *http.Request) {})
	client := clientOf(t, s, pki)
	s.Close()
	err := client.call(t.Context(), apiRequest{method: "GET", path: entriesPath}, nil)
	if exitCode(err) != exitUnavailable || !strings.Contains(err.Error(), "cannot be reached") {
		t.Errorf("exit code %d, error %v", exitCode(err), err)
	}
}

func TestServerURL(t *testing.T) {
	for text, want := range map[string]bool{
		"https://localhost:8443":      true,
		"https://10.0.0.7":            true,
		"https://gateway.example/ca/": true,
		"http://localhost:8443":       false,
		"localhost:8443":              false,
		"https://":                    false,
		"https://u:p@localhost":       false,
		"https://localhost/?a=b":      false,
		"https://localhost/#fragment": false,
		"":                            false,
		"https://local host":          false,
	} {
		t.Run(text, func(t *testing.T) {
			_, err := parseServerURL(text)
			if (err == nil) != want {
				t.Errorf("parseServerURL: %v", err)
			}
			if err != nil && exitCode(err) != exitUsage {
				t.Errorf("exit code %d", exitCode(err))
			}
		})
	}
}
