package rest

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/pando-ca/pando/store"
)

func TestPublicDoor(t *testing.T) {
	service := newDoor(t).cfg.Service
	handler := Public(PublicConfig{Service: service})
	issuer := service.Set().Issuer()
	tests := map[string]struct {
		path, contentType string
		check             func([]byte) error
	}{
		"the bundle document": {"/v1/bundle", "application/json", func(body []byte) error {
			_, err := spiffebundle.Parse(spiffeid.RequireTrustDomainFromString("example.org"), body)
			return err
		}},
		"the roots": {"/v1/bundle.pem", "application/x-pem-file", func(body []byte) error {
			block, _ := pem.Decode(body)
			_, err := x509.ParseCertificate(block.Bytes)
			return err
		}},
		"an issuer": {"/v1/issuers/" + issuer.ID() + ".cer", "application/pkix-cert", func(body []byte) error {
			_, err := x509.ParseCertificate(body)
			return err
		}},
		"a CRL": {"/v1/crls/" + issuer.ID() + "/1.crl", "application/pkix-crl", func(body []byte) error {
			if string(body) != "list 1" {
				return errors.New("another list")
			}
			return nil
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			response, body := ask(t, handler, http.MethodGet, test.path, nil)
			if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != test.contentType || response.Header.Get("Cache-Control") == "" {
				t.Fatalf("answered %s %v", response.Status, response.Header)
			}
			if err := test.check(body); err != nil {
				t.Errorf("%s: %v", body, err)
			}
			head, nothing := ask(t, handler, http.MethodHead, test.path, nil)
			if head.StatusCode != http.StatusOK || len(nothing) > 0 || head.Header.Get("Etag") != response.Header.Get("Etag") {
				t.Errorf("HEAD is answered with %s %v %q", head.Status, head.Header, nothing)
			}
			again := httptest.NewRequest(http.MethodGet, test.path, nil)
			again.Header.Set("If-None-Match", response.Header.Get("Etag"))
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, again)
			if recorder.Code != http.StatusNotModified || recorder.Body.Len() > 0 {
				t.Errorf("what is known already is answered with %d and %d octets", recorder.Code, recorder.Body.Len())
			}
		})
	}
}

// secondShard is a store that holds the second shard of every CRL.
type secondShard struct{}

func (secondShard) CRL(_ context.Context, authority string, shard int) (*store.CRL, error) {
	if shard != 1 {
		return nil, store.ErrNotFound
	}
	return &store.CRL{Authority: authority, Shard: shard, Number: 1, NextUpdate: time.Now().Add(time.Hour), DER: []byte("list 1")}, nil
}

func (secondShard) CRLNumber(context.Context, string, int) (uint64, error) { return 1, nil }

func TestAgeOfACRL(t *testing.T) {
	now := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct{ left, want time.Duration }{
		"hours are left":           {4 * time.Hour, time.Minute},
		"four minutes are left":    {4 * time.Minute, time.Minute},
		"less is left":             {20 * time.Second, 5 * time.Second},
		"it ends":                  {0, 0},
		"it ended a long time ago": {-time.Hour, 0},
	} {
		if got := crlAge(now.Add(tt.left), now); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

// TestCRLHasOneURL looks for a list under names that are not its own.
func TestCRLHasOneURL(t *testing.T) {
	service := newDoor(t).cfg.Service
	handler, issuer := Public(PublicConfig{Service: service}), service.Set().Issuer().ID()
	for _, path := range []string{
		issuer + "/01.crl", issuer + "/+1.crl", issuer + "/-1.crl", issuer + "/1", issuer + "/.crl", issuer + "/x.crl",
		issuer + "/0.crl", issuer + "/2.crl", issuer + "/99999999999999999999.crl", "0000000000000000/1.crl", "..%2f" + issuer + "/1.crl",
	} {
		response, _ := ask(t, handler, http.MethodGet, "/v1/crls/"+path, nil)
		if response.StatusCode != http.StatusNotFound {
			t.Errorf("%s is answered with %s", path, response.Status)
		}
	}
}

// TestPublicDoorHasNothingElse looks for what must not be had without TLS.
func TestPublicDoorHasNothingElse(t *testing.T) {
	handler := Public(PublicConfig{Service: newDoor(t).cfg.Service})
	for _, path := range []string{"/v1/certificates", "/v1/entries", "/openapi.yaml", "/v1/issuers/0000000000000000.cer", "/v1/issuers/..%2f.cer"} {
		if response, _ := ask(t, handler, http.MethodGet, path, nil); response.StatusCode != http.StatusNotFound {
			t.Errorf("%s is answered with %s", path, response.Status)
		}
	}
	if response, _ := ask(t, handler, http.MethodPost, "/v1/bundle", bytes.Repeat([]byte("x"), 1<<20)); response.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST is answered with %s", response.Status)
	}
}
