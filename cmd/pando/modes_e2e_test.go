package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pando-ca/pando/client"
)

// modesLimit bounds what takes a poll, and a report between two polls.
const modesLimit = time.Minute

// TestAListenerFollowsThePolicy of the CA, through its ways to strict and an emergency, and tells
// the CA what it has seen.
func TestAListenerFollowsThePolicy(t *testing.T) {
	d := newDeployment(t, "")
	d.serve(t)
	server := "https://" + d.addr.REST
	pando := func(want int, args ...string) string {
		t.Helper()
		code, out, errs := runPando(t, append(args, "--server", server)...)
		if code != want {
			t.Fatalf("pando %s: exit code %d, want %d: %s%s", strings.Join(args, " "), code, want, out, errs)
		}
		return strings.TrimSpace(out)
	}
	const id = "spiffe://example.org/ns/prod/sa/web"
	entry := pando(exitOK, "entry", "create", "--spiffe-id", id, "-o", "id")
	token := pando(exitOK, "token", "create", entry)
	source := openWorkload(t, client.Config{
		Servers: []string{server}, TrustBundleFile: filepath.Join(d.data, caBundleName), JoinToken: token, CacheDir: filepath.Join(t.TempDir(), "cache"),
	})
	defer source.Close()
	url := serveModes(t, source)

	plain := func() int { return getStatus(t, http.DefaultTransport, "http://"+url) }
	mutual := func() int {
		transport := source.Transport(client.TransportConfig{Dialer: client.DialerConfig{Authorize: client.AuthorizeID(source.ID())}})
		defer transport.CloseIdleConnections()
		return getStatus(t, transport, "https://"+url)
	}
	await := func(what string, mode client.Mode) {
		t.Helper()
		for deadline := time.Now().Add(modesLimit); ; time.Sleep(10 * time.Millisecond) {
			if l := source.Listeners(); len(l) == 1 && l[0].Mode == mode {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: the listener is %+v, want %s", what, source.Listeners(), mode)
			}
		}
	}
	expect := func(what string, plaintext, mtls int) {
		t.Helper()
		if got := plain(); got != plaintext {
			t.Errorf("%s: plaintext is answered %d, want %d", what, got, plaintext)
		}
		if got := mutual(); got != mtls {
			t.Errorf("%s: mutual TLS is answered %d, want %d", what, got, mtls)
		}
	}

	expect("without a policy", http.StatusBadRequest, http.StatusOK)
	pando(exitOK, "mtls", "policy", "set", "/ns/**", "--mode", "permissive")
	await("a permissive policy", client.ModePermissive)
	expect("permissive", http.StatusOK, http.StatusOK)

	pando(exitOK, "mtls", "policy", "set", "/ns/prod/**", "--mode", "strict")
	await("a narrower strict one", client.ModeStrict)
	expect("strict", http.StatusBadRequest, http.StatusOK)

	override := pando(exitOK, "mtls", "override", "start", "/ns/prod/sa/web", "--reason", "test", "--yes", "-o", "id")
	await("an override", client.ModePermissive)
	expect("in an emergency", http.StatusOK, http.StatusOK)
	pando(exitOK, "mtls", "override", "end", override, "--reason", "over")
	await("its end", client.ModeStrict)
	expect("after it", http.StatusBadRequest, http.StatusOK)

	awaitReport(t, func() string {
		_, out, _ := runPando(t, "mtls", "readiness", "--for", "1m", "-o", "json", "--server", server)
		return out
	})
}

// serveModes answers on one port what the policy lets in, and returns its address.
func serveModes(t *testing.T, source *client.Source) string {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := source.Listener(inner, client.ListenerConfig{
		Mode: client.ModePolicy, Authorize: client.AuthorizeID(source.ID()), NextProtos: []string{"h2", "http/1.1"},
	})
	web := &http.Server{
		Handler:     http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }),
		ConnContext: client.ConnContext,
	}
	go web.Serve(listener) // it ends with the test
	t.Cleanup(func() { web.Close() })
	return inner.Addr().String()
}

func getStatus(t *testing.T, transport http.RoundTripper, url string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Close = true
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Errorf("%s: %v", url, err)
		return 0
	}
	response.Body.Close()
	return response.StatusCode
}

// awaitReport waits until the CA knows that there was plaintext, and mutual TLS.
func awaitReport(t *testing.T, readiness func() string) {
	t.Helper()
	var last string
	for deadline := time.Now().Add(modesLimit); time.Now().Before(deadline); time.Sleep(time.Second) {
		last = readiness()
		if strings.Contains(last, `"plaintext"`) && strings.Contains(last, `"last_mtls"`) {
			return
		}
	}
	t.Errorf("the CA was never told of both: %s", last)
}
