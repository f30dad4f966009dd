package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// hostilePolls is what a server may answer to a poll instead of what it should.
func hostilePolls() map[string]struct {
	answer func(w *world, rw http.ResponseWriter, r *http.Request)
	want   string // in the error; empty: there is none
} {
	type bad = struct {
		answer func(w *world, rw http.ResponseWriter, r *http.Request)
		want   string
	}
	body := func(status int, text string) func(*world, http.ResponseWriter, *http.Request) {
		return func(_ *world, rw http.ResponseWriter, _ *http.Request) {
			rw.WriteHeader(status)
			fmt.Fprint(rw, text)
		}
	}
	edited := func(edit func(w *world, a *trustAnswer)) func(*world, http.ResponseWriter, *http.Request) {
		return func(w *world, rw http.ResponseWriter, _ *http.Request) {
			a := trustAnswer{Bundle: w.bundleNow()}
			a.Bundle.Sequence++
			edit(w, &a)
			json.NewEncoder(rw).Encode(a)
		}
	}
	revocations := func(text string) func(*world, http.ResponseWriter, *http.Request) {
		return body(200, `{"bundle":{"trust_domain":"example.org","sequence":7},"revocations":`+text+`}`)
	}
	return map[string]bad{
		"revocations that are none":        {revocations(`[]`), "decode answer"},
		"a serial number that is short":    {revocations(`{"sequence":1,"serials":["00"]}`), "38 hex digits"},
		"a serial number that is a number": {revocations(`{"sequence":1,"serials":[7]}`), "decode answer"},
		"a serial number that is no hex":   {revocations(`{"sequence":1,"serials":["` + strings.Repeat("x", 38) + `"]}`), "invalid byte"},
		"an authority by another name":     {revocations(`{"sequence":1,"authorities":["0123456789abcdef"]}`), "64 hex digits"},
		"a negative cursor":                {revocations(`{"sequence":-1}`), "decode answer"},
		"a cursor beyond all":              {revocations(`{"sequence":18446744073709551616}`), "decode answer"},
		"a thousand and one authorities": {edited(func(_ *world, a *trustAnswer) {
			a.Revocations = &revocationList{Sequence: 1, Authorities: make([]keyID, maxRevokedAuthorities+1)}
		}), "more than 1000 revoked authorities"},
		"revocations that say nothing": {revocations(`null`), ""},

		"not JSON":                 {body(200, "<html>welcome"), "decode answer"},
		"nothing":                  {body(200, ""), "decode answer"},
		"JSON null":                {body(200, "null"), "trust domain"},
		"another shape":            {body(200, `{"bundle":7}`), "decode answer"},
		"a negative sequence":      {body(200, `{"bundle":{"sequence":-1}}`), "decode answer"},
		"a megabyte and more":      {body(200, strings.Repeat(" ", maxAnswer+1)), "octets"},
		"a failure of its own":     {body(500, "oops"), "answered 500"},
		"an unexpected success":    {body(204, ""), "answered 204"},
		"a created certificate":    {body(201, "{}"), "answered 201"},
		"a refusal":                {body(403, `{"code":"permission_denied"}`), "permission_denied"},
		"a redirect":               {func(w *world, rw http.ResponseWriter, _ *http.Request) { redirect(w, rw, fakeCall{}) }, "answered 307"},
		"interim without end":      {interimWithoutEnd, "interim answers"},
		"half an answer":           {func(*world, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
		"no answer at all":         {func(_ *world, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "deadline exceeded"},
		"an answer by the octet":   {byTheOctet, "deadline exceeded"},
		"no HTTP":                  {spoken("SSH-2.0-OpenSSH\r\n\r\n"), "malformed HTTP"},
		"another trust domain":     {edited(func(_ *world, a *trustAnswer) { a.Bundle.TrustDomain = "evil.org" }), `"evil.org"`},
		"no roots":                 {edited(func(_ *world, a *trustAnswer) { a.Bundle.Roots = "" }), "no certificate in PEM"},
		"a root that is no CA":     {edited(func(w *world, a *trustAnswer) { a.Bundle.Roots = leafPEM(w, "example.org") }), "not a CA"},
		"a root of another domain": {edited(func(_ *world, a *trustAnswer) { a.Bundle.Roots += string(newPKI("evil.org").bundle()) }), "evil.org"},
		"a damaged root":           {edited(func(_ *world, a *trustAnswer) { a.Bundle.Roots += "-----BEGIN CERTIFICATE-----\nAAAA" }), "damaged"},
		"a hundred and one roots":  {edited(func(_ *world, a *trustAnswer) { a.Bundle.Roots = strings.Repeat(a.Bundle.Roots, 101) }), "more than 100"},
		"an older bundle":          {edited(func(_ *world, a *trustAnswer) { a.Bundle.Sequence, a.Bundle.Roots = 3, "" }), ""},
		"the same, and other roots": {edited(func(_ *world, a *trustAnswer) {
			a.Bundle.Sequence, a.Bundle.Roots = 7, string(newPKI("example.org").bundle())
		}), ""},
		"a window of no use": {edited(func(_ *world, a *trustAnswer) {
			a.Bundle.Sequence, a.Renewal = 7, &renewal{Start: time.Now().AddDate(100, 0, 0)}
		}), ""},
		"a second answer": {func(w *world, rw http.ResponseWriter, _ *http.Request) {
			good := must(json.Marshal(trustAnswer{Bundle: w.bundleNow()}))
			evil := must(json.Marshal(trustAnswer{Bundle: bundle{
				TrustDomain: "example.org", Sequence: 99, Roots: encodePEM(w.root, newPKI("example.org").root),
			}}))
			speak(rw, okWith(good)+okWith(evil))
		}, ""},
	}
}

func okWith(body []byte) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// spoken answers with anything.
func spoken(text string) func(*world, http.ResponseWriter, *http.Request) {
	return func(_ *world, rw http.ResponseWriter, _ *http.Request) { speak(rw, text) }
}

func speak(rw http.ResponseWriter, text string) {
	conn, _, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	conn.Write([]byte(text))
}

func interimWithoutEnd(_ *world, rw http.ResponseWriter, _ *http.Request) {
	for range 2 * maxInterim {
		rw.WriteHeader(http.StatusEarlyHints)
	}
}

// byTheOctet is never quiet for long, and never done.
func byTheOctet(_ *world, rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Content-Length", "1000")
	for r.Context().Err() == nil {
		rw.Write([]byte(" "))
		http.NewResponseController(rw).Flush()
		sleep(r.Context(), time.Second)
	}
}

func TestNonsenseFromAPollChangesNothing(t *testing.T) {
	for name, test := range hostilePolls() {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				s := w.open(nil)
				pass(10 * time.Second)
				held := s.snapshot.Load()
				var good atomic.Bool
				bad := func(_ int, rw http.ResponseWriter, r *http.Request, _ fakePoll) bool {
					if good.Load() {
						return false
					}
					test.answer(w, rw, r)
					return true
				}
				w.change(func() { w.pollHook = bad })
				pass(4 * time.Minute)
				st := s.Status()
				if s.snapshot.Load() != held || len(w.seen()) != 1 {
					t.Fatalf("status: %+v", st)
				}
				if failed := st.FollowError != nil; failed != (test.want != "") || failed && !strings.Contains(st.FollowError.Error(), test.want) {
					t.Fatalf("error %v, want one with %q", st.FollowError, test.want)
				}
				good.Store(true)
				w.publish(8, w.root, newPKI("example.org").root)
				pass(maxBackoff + exchangeTimeout)
				if st := s.Status(); !st.Following || st.FollowError != nil || st.BundleSequence != 8 {
					t.Errorf("status after a good answer: %+v", st)
				}
				for _, address := range w.net.addresses() {
					if address != pandoHost {
						t.Errorf("dialled %s", address)
					}
				}
			})
		})
	}
}

func TestOnlyPandoIsFollowed(t *testing.T) {
	inWorld(t, func(w *world) {
		w.old, w.lifetime = true, 24*time.Hour
		s := w.open(nil)
		w.stop()
		w.change(func() { w.old = false })
		w.stop = w.serve(w.net.listen(pandoHost), w.id) // a workload that poses as the server
		pass(absentPause + time.Minute)
		if st := s.Status(); st.Following || !strings.Contains(errText(st.FollowError), "want "+serverID) || len(w.polled()) != 0 {
			t.Errorf("status: %+v after %d polls", st, len(w.polled()))
		}
	})
}

func TestAConnectionIsGivenUpWhenTheServersCertificateExpires(t *testing.T) {
	inWorld(t, func(w *world) {
		w.lifetime = 24 * time.Hour
		w.change(func() {
			cert := w.identity(leafTemplate(serverID, 10*time.Minute))
			w.serving[serverID] = &cert
		})
		s := w.open(nil)
		pass(5 * time.Minute)
		w.change(func() { w.serveWith(serverID, w.pki) })
		dials := len(w.net.addresses())
		pass(10 * time.Minute)
		if st := s.Status(); !st.Following || len(w.net.addresses()) != dials+1 {
			t.Errorf("status: %+v after %d dials", st, len(w.net.addresses())-dials)
		}
	})
}

func TestCloseEndsAPollAtOnce(t *testing.T) {
	for name, test := range map[string]struct {
		hang func(w *world)
		age  time.Duration
	}{
		"while it waits":     {func(*world) {}, 45 * time.Second},
		"between two":        {func(w *world) { w.old = true }, time.Minute},
		"while it backs off": {func(w *world) { w.pollHook = refuseAll }, 2 * time.Minute},
		"while it dials": {func(w *world) {
			w.pollHook = refuseAll
			time.AfterFunc(time.Minute, func() { w.stop(); w.net.listen(pandoHost) })
		}, 3*time.Minute + time.Second},
		"while it shakes hands": {func(w *world) {
			w.pollHook = refuseAll
			time.AfterFunc(time.Minute, func() { w.stop(); mute(w.t, w.net.listen(pandoHost)) })
		}, 3*time.Minute + time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				test.hang(w)
				s := w.open(nil)
				pass(test.age)
				begin := time.Now()
				s.Close()
				if took := time.Since(begin); took != 0 {
					t.Errorf("Close took %s", took)
				}
				polls, dials := len(w.polled()), len(w.net.addresses())
				w.publish(8, w.root, newPKI("example.org").root)
				pass(2 * time.Hour)
				if len(w.polled()) != polls || len(w.net.addresses()) != dials || s.Status().BundleSequence != 7 {
					t.Errorf("%d polls and %d dials after Close", len(w.polled())-polls, len(w.net.addresses())-dials)
				}
			})
		})
	}
}

func refuseAll(_ int, rw http.ResponseWriter, _ *http.Request, _ fakePoll) bool {
	writeProblem(rw, http.StatusServiceUnavailable, "unavailable", "not now")
	return true
}

// mute accepts connections on l and says nothing.
func mute(t *testing.T, l net.Listener) {
	var held []net.Conn
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			held = append(held, conn)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		for _, conn := range held {
			conn.Close()
		}
	})
}

func TestAnExpiredIdentityDoesNotPoll(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.open(nil)
		w.change(func() {
			w.hook = func(_ int, rw http.ResponseWriter, _ fakeCall) bool {
				writeProblem(rw, http.StatusServiceUnavailable, "unavailable", "not now")
				return true
			}
		})
		pass(3 * time.Hour) // the fake complains of polls with an expired certificate
		synctest.Wait()
		if st := s.Status(); !st.Expired(time.Now()) || st.Following || !errors.Is(st.FollowError, ErrExpired) {
			t.Errorf("status: %+v", st)
		}
	})
}

func FuzzTrustAnswer(f *testing.F) {
	p := newFakePando(f.Errorf)
	f.Add(must(json.Marshal(trustAnswer{Bundle: p.bundleNow(), Renewal: &renewal{Start: time.Now()}})))
	f.Add([]byte(`{"bundle":{"trust_domain":"example.org","sequence":18446744073709551615},"renewal":null}`))
	f.Add(bytes.Repeat([]byte(`{"bundle":`), 100))
	f.Add(must(json.Marshal(trustAnswer{Bundle: p.bundleNow(), Revocations: &revocationList{
		Sequence: 9, Serials: []serial{{}, randomSerial(time.Now().Add(time.Hour))}, Authorities: []keyID{{}, keyIDOf(p.root)}, More: true,
	}})))
	f.Add([]byte(`{"bundle":{"trust_domain":"example.org","sequence":1},"revocations":{"sequence":1,"serials":null,"authorities":[null],"reset":true}}`))
	known := must(configuredTrust(p.bundle()))
	known.sequence, known.learned = 6, true
	now := time.Now()
	before, _, _ := (*revocations)(nil).with(&revocationList{Sequence: 5, Serials: []serial{randomSerial(now.Add(time.Hour))}}, now)
	f.Fuzz(func(t *testing.T, body []byte) {
		u, err := learned(body, known)
		if err != nil {
			return
		}
		if u.trust != known && (u.trust.sequence <= 6 || u.trust.domain != known.domain || len(u.trust.roots) == 0) {
			t.Errorf("learned %+v", u.trust)
		}
		l := u.revocations
		if l == nil {
			return
		}
		after, _, err := before.with(l, now)
		if err != nil || after.cursor() < before.cursor() && !l.Reset || after.count() < before.count() && (!l.Reset || l.More) {
			t.Errorf("learned %+v, %v", after, err)
		}
		for _, n := range l.Serials {
			if n.notAfter() >= now.Unix() && !after.serials.has(n) {
				t.Errorf("%s is missing", n)
			}
		}
	})
}
