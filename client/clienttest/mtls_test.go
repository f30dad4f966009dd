package clienttest_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/client"
	"github.com/pando-ca/pando/client/clienttest"
)

// plaintext is whether a listener lets in who does not speak TLS.
func plaintext(t *testing.T, n *clienttest.Network) bool {
	t.Helper()
	conn, err := n.DialContext(t.Context(), "tcp", "web.test:80")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "hello")
	answer, _ := io.ReadAll(conn)
	return string(answer) == "hello"
}

func TestModes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := clienttest.New(t, clienttest.Options{})
		source := ca.Open(t, web)
		inner, err := ca.Network().Listen("web.test:80")
		if err != nil {
			t.Fatal(err)
		}
		listener := source.Listener(inner, client.ListenerConfig{Name: "api", Mode: client.ModePolicy, Authorize: client.AuthorizeID(source.ID())})
		defer listener.Close()
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				go func() { defer conn.Close(); io.CopyN(conn, conn, 5) }()
			}
		}()
		steps := []struct {
			name string
			do   func()
			want bool
		}{
			{"nothing is said", func() {}, false},
			{"everybody is permissive", func() { ca.SetModes("", clienttest.Rule{Mode: client.ModePermissive}) }, true},
			{"this one is strict", func() { ca.SetModes(web, clienttest.Rule{Mode: client.ModeStrict}) }, false},
			{"but for one listener", func() {
				ca.SetModes(web, clienttest.Rule{Mode: client.ModeStrict}, clienttest.Rule{Name: "api", Mode: client.ModePermissive})
			}, true},
			{"nothing is said again", func() { ca.SetModes(""); ca.SetModes(web) }, false},
			{"an emergency", func() {
				ca.Override(web, clienttest.Override{Name: "api", Side: "listen", Reason: "a test", Lasts: 10 * time.Minute})
			}, true},
			{"which is over by itself", func() { pass(10 * time.Minute) }, false},
			{"one for all, ended by hand", func() { ca.Override("", clienttest.Override{Lasts: time.Hour})() }, false},
			{"one for dialers", func() { ca.Override("", clienttest.Override{Side: "dial", Lasts: time.Hour}) }, false},
			{"one for somebody else", func() { ca.Override("spiffe://example.org/db", clienttest.Override{Lasts: time.Hour}) }, false},
		}
		for _, step := range steps {
			step.do()
			pass(2 * time.Second)
			if got := plaintext(t, ca.Network()); got != step.want {
				t.Errorf("%s: plaintext is let in: %t", step.name, got)
			}
			pass(10 * time.Minute)
		}
		reports := ca.Reports()
		if len(reports) == 0 {
			t.Fatal("nothing is reported")
		}
		last := reports[len(reports)-1]
		if l := last.Listeners; last.ID != web || len(last.Instance) != 16 || len(l) != 1 || l[0].Name != "api" ||
			l[0].Mode != client.ModeStrict || l[0].From != client.FromPolicy || l[0].LastPlaintext.IsZero() || !l[0].LastMTLS.IsZero() || l[0].Since.IsZero() {
			t.Errorf("the last report: %+v", last)
		}
	})
}

// TestTheWireOfModes compares what the double says with what is agreed.
func TestTheWireOfModes(t *testing.T) {
	ca := clienttest.New(t, clienttest.Options{})
	ca.SetModes(web, clienttest.Rule{Mode: client.ModeStrict}, clienttest.Rule{Name: "api", Mode: client.ModePermissive, PlaintextDial: true})
	ca.Override("", clienttest.Override{Reason: "a test", Lasts: time.Minute})
	cfg, cert := ca.Config(web), []tls.Certificate{*ca.Certificate(web)}
	answer, _ := knock(t, cfg, exchange{method: http.MethodGet, path: "/v1/trust?after=0&mtls_version=", cert: cert})
	body := answer.Body.(map[string]any)
	want := map[string]any{
		"version": "a version",
		"rules": []any{
			map[string]any{"name": "", "mode": "strict", "plaintext_dial": false},
			map[string]any{"name": "api", "mode": "permissive", "plaintext_dial": true},
		},
		"overrides": []any{map[string]any{"id": "ovr_000000000000000000000001", "name": "", "side": "both", "expires_at": "a moment", "reason": "a test"}},
	}
	if diff := cmp.Diff(want, body["mtls"]); diff != "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
	if answer, _ := knock(t, cfg, exchange{method: http.MethodGet, path: "/v1/trust?after=0", cert: cert}); answer.Body.(map[string]any)["mtls"] != nil {
		t.Error("who does not ask is told")
	}
	for name, test := range map[string]struct {
		body   string
		cert   []tls.Certificate
		status int
	}{
		"a report": {
			`{"instance":"0123456789abcdef","listeners":[{"name":"api","mode":"strict","from":"code","observed_since":"2026-03-01T00:00:00Z"}]}`, cert, http.StatusNoContent,
		},
		"of nothing":            {`{"instance":"0123456789abcdef","listeners":[]}`, cert, http.StatusNoContent},
		"without a certificate": {`{"instance":"0123456789abcdef","listeners":[]}`, nil, http.StatusUnauthorized},
		"without an instance":   {`{"listeners":[]}`, cert, http.StatusBadRequest},
		"without a beginning":   {`{"instance":"0123456789abcdef","listeners":[{"name":"api","mode":"strict","from":"code"}]}`, cert, http.StatusBadRequest},
		"of a mode that is none": {
			`{"instance":"0123456789abcdef","listeners":[{"name":"api","mode":"mutual","from":"code","observed_since":"2026-03-01T00:00:00Z"}]}`, cert, http.StatusBadRequest,
		},
		"from nobody": {
			`{"instance":"0123456789abcdef","listeners":[{"name":"api","mode":"strict","from":"me","observed_since":"2026-03-01T00:00:00Z"}]}`, cert, http.StatusBadRequest,
		},
		"with more": {`{"instance":"0123456789abcdef","listeners":[],"mood":"good"}`, cert, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			if status := post(t, cfg, "/v1/mtls/report", test.body, test.cert); status != test.status {
				t.Errorf("answered %d, want %d", status, test.status)
			}
		})
	}
	if n := len(ca.Reports()); n != 2 {
		t.Errorf("%d reports", n)
	}
}

// post returns the status of an answer that may have no body.
func post(t *testing.T, cfg client.Config, path, body string, cert []tls.Certificate) int {
	t.Helper()
	transport := &http.Transport{DialContext: cfg.DialContext, TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: cert}}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Post(cfg.Servers[0]+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}
