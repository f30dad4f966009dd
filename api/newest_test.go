package api_test

import (
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"testing"

	"github.com/pando-ca/pando/api/apitest"
)

// TestTheNewestIsNotSentTwice asks as a curl in a crontab does, and as a program does: each
// has a tag of its own, and gets nothing while it has what there is.
func TestTheNewestIsNotSentTwice(t *testing.T) {
	doors := apitest.New(t, apitest.Options{})
	client := doors.HTTP(t, apitest.Workload)
	ask := func(accept, tag string) (*http.Response, []byte) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, doors.URL+"/v1/certificates/newest", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Accept", accept)
		if tag != "" {
			request.Header.Set("If-None-Match", tag)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response, body
	}
	tags := make(map[string]bool)
	for accept, want := range map[string]string{
		"application/pem-certificate-chain": "application/pem-certificate-chain", "*/*": "application/json",
	} {
		first, body := ask(accept, "")
		tag := first.Header.Get("ETag")
		tags[tag] = true
		if first.StatusCode != http.StatusOK || first.Header.Get("Content-Type") != want || first.Header.Get("Vary") != "Accept" || len(body) == 0 {
			t.Errorf("Accept %s: %d, %v", accept, first.StatusCode, first.Header)
		}
		again, body := ask(accept, tag)
		if again.StatusCode != http.StatusNotModified || len(body) != 0 || again.Header.Get("ETag") != tag {
			t.Errorf("Accept %s, again: %d, %v, %q", accept, again.StatusCode, again.Header, body)
		}
		if other, _ := ask(accept, `"0"`); other.StatusCode != http.StatusOK {
			t.Errorf("Accept %s, with another tag: %d", accept, other.StatusCode)
		}
	}
	if len(tags) != 2 {
		t.Errorf("tags %v, want one for each form", tags)
	}
	_, body := ask("application/pem-certificate-chain", "")
	block, _ := pem.Decode(body)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil || leaf.URIs[0].String() != apitest.ID(apitest.Workload) {
		t.Errorf("the chain begins with %v, %v", leaf, err)
	}
}
