package client

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// debugOf asks the debug handler.
func debugOf(s *Source, method, target string, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	r.Header = header
	w := httptest.NewRecorder()
	s.DebugHandler().ServeHTTP(w, r)
	return w
}

func pageOf(t *testing.T, s *Source) (page debugPage, text string) {
	t.Helper()
	w := debugOf(s, http.MethodGet, "/?format=json", nil)
	if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	return page, debugOf(s, http.MethodGet, "/", nil).Body.String()
}

func TestTheDebugHandlerShowsTheIdentity(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.open(nil)
		pass(time.Minute)
		page, text := pageOf(w.t, s)
		st := s.Status()
		switch {
		case !page.Ready || page.Usable != "yes" || page.SPIFFEID != w.id || page.TrustDomain != "example.org":
			t.Errorf("identity: %+v", page)
		case len(page.Chain) != 2 || page.Chain[0].Subject != w.id || page.Chain[0].Serial != st.Serial || page.Chain[1].ID != st.Issuer:
			t.Errorf("chain: %+v", page.Chain)
		case !page.Renewal.Due.Equal(st.RenewalDue) || !page.Renewal.LastSuccess.Equal(st.LastSuccess) || page.Renewal.LastError != "":
			t.Errorf("renewal: %+v", page.Renewal)
		case page.Bundle.Sequence != 7 || !page.Bundle.Following || len(page.Bundle.Roots) != 1 || page.Bundle.Roots[0].ID != authorityID(w.root):
			t.Errorf("bundle: %+v", page.Bundle)
		case page.Revocations.Updated.IsZero() || page.Revocations.AgeSeconds < 1 || page.Revocations.AgeSeconds > 60:
			t.Errorf("revocations: %+v", page.Revocations)
		}
		for _, want := range []string{w.id, st.Serial, st.Issuer, "renewal due", "(in 2", "last success", "ago)", authorityID(w.root)} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in the text:\n%s", want, text)
			}
		}
	})
}

func TestTheDebugHandlerSaysWhatIsWrong(t *testing.T) {
	inWorld(t, func(w *world) {
		w.stop()
		s := w.begin(nil)
		pass(time.Minute)
		page, text := pageOf(w.t, s)
		if page.Ready || !strings.Contains(page.Usable, ErrNotReady.Error()) || !strings.Contains(page.Renewal.LastError, "connection refused") ||
			page.Renewal.Failures == 0 || len(page.Chain) != 0 || len(page.Bundle.Roots) != 1 || !strings.Contains(text, ErrNotReady.Error()) {
			t.Errorf("before there is an identity: %+v\n%s", page, text)
		}
		w.up()
		pass(2 * time.Minute)
		w.stop()
		pass(2 * time.Hour)
		page, text = pageOf(w.t, s)
		if !page.Ready || !strings.Contains(page.Usable, ErrExpired.Error()) || page.Bundle.Following || page.Bundle.FollowError == "" ||
			!strings.Contains(text, "ago)") {
			t.Errorf("after it has expired: %+v\n%s", page, text)
		}
	})
}

func TestTheDebugHandlerShowsFailedHandshakes(t *testing.T) {
	p := newPKI("example.org")
	s := fixed(rootsOf(1, p), p.identity(leafTemplate("spiffe://example.org/web", time.Hour)))
	stranger := newPKI("example.org")
	peer := fixed(rootsOf(1, p, stranger), stranger.identity(leafTemplate("spiffe://example.org/peer", time.Hour)))
	handshake(peer.ClientTLS(anyone), s.ServerTLS(anyone))
	handshake(s.ClientTLS(anyone), peer.ServerTLS(anyone))
	handshake(s.ClientTLS(anyone), s.ServerTLS(anyone)) // a good one
	page, text := pageOf(t, s)
	if page.HandshakeFailures != 2 || len(page.HandshakesFailed) != 2 {
		t.Fatalf("page: %+v", page)
	}
	for i, side := range []string{"client", "server"} { // the newest first
		if f := page.HandshakesFailed[i]; f.Side != side || f.Reason != ReasonUnknownAuthority || time.Since(f.At) > time.Minute || !strings.Contains(f.Error, "spiffe://example.org/peer") {
			t.Errorf("failure: %+v", f)
		}
	}
	if !strings.Contains(text, string(ReasonUnknownAuthority)) {
		t.Errorf("text:\n%s", text)
	}
}

func TestTheDebugHandlerShowsModes(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.open(nil)
		l := s.Listener(w.net.listen(webHost), ListenerConfig{Authorize: anyone, Name: "api", Mode: ModePolicy})
		stop := drain(l)
		defer stop()
		pass(time.Minute)
		w.decree(strictPolicy)
		pass(time.Second)
		must(s.Override(time.Hour, "a drill\n"))
		conn := must(w.net.DialContext(w.t.Context(), "tcp", webHost))
		conn.Close()
		pass(time.Second)
		page, text := pageOf(w.t, s)
		m := page.Modes
		if m.PolicyVersion != "a2" || len(m.Listeners) != 1 || m.Listeners[0].Name != "api" || m.Listeners[0].Mode != ModePermissive ||
			len(m.Overrides) != 1 || m.Overrides[0].Reason != `a drill\n` || m.Overrides[0].From != FromLocal {
			t.Errorf("modes: %+v", m)
		}
		if page.HandshakeFailures != 1 || page.HandshakesFailed[0].Reason != ReasonEOF || page.HandshakesFailed[0].Remote == "" {
			t.Errorf("handshakes: %+v", page.HandshakesFailed)
		}
		for _, want := range []string{"mtls policy", "a2", "listener api", "permissive by local", "override local", `until 2000-01-01T01:01:01Z (in 59m59s): a drill\n`} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in the text:\n%s", want, text)
			}
		}
	})
}

func TestTheLastFailedHandshakesAreKept(t *testing.T) {
	var l handshakeLog
	now := time.Now()
	remote := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 4711}
	var group sync.WaitGroup
	for range 7 {
		group.Go(func() {
			for range 10 {
				l.failed(now, "server", nil, errors.New("some"))
			}
		})
	}
	group.Wait()
	for i := range maxHandshakes - 1 {
		l.failed(now.Add(time.Duration(i)*time.Second), "server", remote, fmt.Errorf("%d\n%s", i, strings.Repeat("x", 10_000)))
	}
	failures, total := l.recent()
	if total != 70+maxHandshakes-1 || len(failures) != maxHandshakes {
		t.Fatalf("%d of %d", len(failures), total)
	}
	if f := failures[0]; !strings.HasPrefix(f.Error, `48\nxx`) || len(f.Error) > 400 || f.Remote != "10.0.0.1:4711" {
		t.Errorf("the newest: %+v", f)
	}
	if f := failures[maxHandshakes-1]; f.Error != "some" {
		t.Errorf("the oldest: %+v", f)
	}
}

func TestHowTheDebugHandlerIsAsked(t *testing.T) {
	p := newPKI("example.org")
	s := fixed(rootsOf(1, p), p.identity(leafTemplate("spiffe://example.org/web", time.Hour)))
	const text, inJSON = "text/plain; charset=utf-8", "application/json"
	for name, test := range map[string]struct {
		method, target, accept string
		status                 int
		form                   string
	}{
		"by a person":           {method: "GET", target: "/debug/pando", status: 200, form: text},
		"by a browser":          {method: "GET", target: "/", accept: "text/html,*/*;q=0.8", status: 200, form: text},
		"by a program":          {method: "GET", target: "/", accept: "application/json", status: 200, form: inJSON},
		"for JSON":              {method: "GET", target: "/?format=json", status: 200, form: inJSON},
		"for text by a program": {method: "GET", target: "/?format=text", accept: "application/json", status: 200, form: text},
		"for another form":      {method: "GET", target: "/?format=xml", status: 400, form: text},
		"for the header alone":  {method: "HEAD", target: "/?format=json", status: 200, form: inJSON},
		"to change something":   {method: "POST", target: "/", status: 405, form: text},
		"to remove something":   {method: "DELETE", target: "/", status: 405, form: text},
	} {
		t.Run(name, func(t *testing.T) {
			w := debugOf(s, test.method, test.target, http.Header{"Accept": {test.accept}})
			if w.Code != test.status || w.Header().Get("Content-Type") != test.form || w.Header().Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%d %v", w.Code, w.Header())
			}
			if test.status == 200 && w.Header().Get("Cache-Control") != "no-store" || test.status == 405 && w.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("%d %v", w.Code, w.Header())
			}
		})
	}
}

func TestTheDebugHandlerShowsNoSecret(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.open(nil)
		w.stop()
		pass(2 * time.Hour)
		page, text := pageOf(w.t, s)
		shown := string(must(json.Marshal(page))) + text
		key := must(x509.MarshalPKCS8PrivateKey(s.snapshot.Load().certificate.PrivateKey))
		for name, secret := range map[string]string{
			"the join token": joinToken, "the key in base64": base64.StdEncoding.EncodeToString(key)[:40],
			"a key in PEM": "PRIVATE KEY", "the key in hex": hex.EncodeToString(key)[:40],
		} {
			if strings.Contains(shown, secret) {
				t.Errorf("%s is shown", name)
			}
		}
	})
}
