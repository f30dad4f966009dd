package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
)

// runGet runs the command line and returns its exit code and its standard error.
func runGet(t *testing.T, args ...string) (int, string) {
	t.Helper()
	var out, failures bytes.Buffer
	code := run(t.Context(), append([]string{"get"}, args...), stdio{in: strings.NewReader(""), out: &out, err: &failures})
	return code, failures.String()
}

// enrolments is a server that answers sign and renew for webID and remembers what it saw.
type enrolments struct {
	t     *testing.T
	pki   *catest.CA
	keys  []ca.KeyHash
	paths []string
	auth  []string
	lose  int // answers that are lost on the way
	deny  int // renewals that are refused
	alter func(*issuedJSON)
}

func (e *enrolments) serve(w http.ResponseWriter, r *http.Request) {
	e.paths = append(e.paths, r.URL.Path)
	e.auth = append(e.auth, r.Header.Get("Authorization"))
	if r.URL.Path == "/v1/bundle" {
		w.Write(rootsPEM(e.pki))
		return
	}
	var request signRequestJSON
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		e.t.Error(err)
	}
	csr, err := ca.ParseCSR(request.CSRDER)
	if err != nil {
		e.t.Error(err)
		return
	}
	e.keys = append(e.keys, csr.KeyHash)
	if e.lose > 0 {
		e.lose--
		panic(http.ErrAbortHandler)
	}
	if strings.HasSuffix(r.URL.Path, "/renew") && e.deny > 0 {
		e.deny--
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"detail":"the presented certificate is revoked","code":"revoked","request_id":"r"}`)
		return
	}
	issued := issue(e.t, e.pki, webID, request.CSRDER)
	if e.alter != nil {
		e.alter(issued)
	}
	w.WriteHeader(http.StatusCreated)
	if err := json.NewEncoder(w).Encode(issued); err != nil {
		e.t.Error(err)
	}
}

func newEnrolments(t *testing.T) (e *enrolments, flags []string, out string) {
	t.Helper()
	isolate(t)
	e = &enrolments{t: t, pki: catest.New(t, catest.Options{})}
	s := newFakeServer(t, e.pki, serverID, e.serve)
	dir := t.TempDir()
	bundle := writeFile(t, dir, "roots.pem", rootsPEM(e.pki))
	out = filepath.Join(dir, "out")
	return e, []string{"--server", s.URL, "--bundle", bundle, "--out", out}, out
}

func TestLostAnswerIsAskedForWithTheSameKey(t *testing.T) {
	e, flags, out := newEnrolments(t)
	e.lose = 1
	flags = append(flags, "--token", "pjt_once")
	if code, text := runGet(t, flags...); code != exitUnavailable {
		t.Fatalf("exit code %d: %s", code, text)
	}
	if _, err := os.Stat(filepath.Join(out, currentName)); err == nil {
		t.Fatal("something is in force without an answer")
	}
	if code, text := runGet(t, flags...); code != exitOK {
		t.Fatalf("exit code %d: %s", code, text)
	}
	if len(e.keys) != 2 || e.keys[0] != e.keys[1] {
		t.Errorf("the token was shown with keys %x", e.keys)
	}
	if _, err := os.Stat(filepath.Join(out, pendingName)); err == nil {
		t.Error("the key of the enrolment is left")
	}
}

func TestRenewalUsesANewKeyAndNoToken(t *testing.T) {
	e, flags, _ := newEnrolments(t)
	withToken := append([]string{"--token", "pjt_once"}, flags...)
	for range 2 {
		if code, text := runGet(t, withToken...); code != exitOK {
			t.Fatalf("exit code %d: %s", code, text)
		}
	}
	if code, text := runGet(t, append(flags, "--if-due")...); code != exitOK {
		t.Fatalf("exit code %d: %s", code, text)
	}
	if want := []string{"/v1/certificates", "/v1/certificates/renew"}; strings.Join(e.paths, " ") != strings.Join(want, " ") {
		t.Errorf("requests %v, want %v", e.paths, want)
	}
	if e.keys[0] == e.keys[1] {
		t.Error("the key was used again")
	}
	if e.auth[0] != "Bearer pjt_once" || e.auth[1] != "" {
		t.Errorf("credentials %q", e.auth)
	}
}

func TestRefusedRenewalEnrolsAnewWithACredential(t *testing.T) {
	e, flags, _ := newEnrolments(t)
	withToken := append([]string{"--token", "pjt_once"}, flags...)
	if code, text := runGet(t, withToken...); code != exitOK {
		t.Fatalf("exit code %d: %s", code, text)
	}
	e.deny = 2
	if code, text := runGet(t, flags...); code != exitDenied || !strings.Contains(text, "is revoked (code revoked, request r)") {
		t.Fatalf("without a credential: exit code %d: %s", code, text)
	}
	if code, text := runGet(t, withToken...); code != exitOK || !strings.Contains(text, "enrolling anew") {
		t.Fatalf("with a credential: exit code %d: %s", code, text)
	}
}

func TestFingerprintIsBelievedBeforeTheToken(t *testing.T) {
	for name, right := range map[string]bool{"the right root": true, "another root": false} {
		t.Run(name, func(t *testing.T) {
			e, flags, _ := newEnrolments(t)
			pin := sha256.Sum256(e.pki.Set().Roots()[0].Raw)
			if !right {
				pin[0] ^= 1
			}
			args := append(flags[:2:2], flags[4:]...) // without --bundle
			code, text := runGet(t, append(args, "--fingerprint", fmt.Sprintf("%x", pin), "--token", "pjt_secret")...)
			if (code == exitOK) != right {
				t.Fatalf("exit code %d: %s", code, text)
			}
			if e.auth[0] != "" {
				t.Error("the token went to a server that was not verified")
			}
			if !right && len(e.paths) != 1 {
				t.Errorf("requests %v", e.paths)
			}
		})
	}
}

// An answer that cannot be right must not replace what works.
func TestWrongAnswersAreNotUsed(t *testing.T) {
	other := catest.New(t, catest.Options{})
	foreign := catest.New(t, catest.Options{TrustDomain: "other.org"})
	for name, alter := range map[string]func(t *testing.T, e *enrolments, i *issuedJSON){
		"the certificate of another key": func(t *testing.T, e *enrolments, i *issuedJSON) {
			_, csr := catest.CSR(t, ca.ECDSAP256)
			i.CertificateChain = issue(t, e.pki, webID, csr).CertificateChain
		},
		"another SPIFFE ID than it says": func(_ *testing.T, _ *enrolments, i *issuedJSON) { i.SPIFFEID += "x" },
		"a bundle that does not verify it": func(_ *testing.T, _ *enrolments, i *issuedJSON) {
			i.Bundle.Roots = string(rootsPEM(other))
		},
		"a bundle of another trust domain": func(_ *testing.T, _ *enrolments, i *issuedJSON) {
			i.Bundle.Roots = string(rootsPEM(foreign))
		},
		"no bundle": func(_ *testing.T, _ *enrolments, i *issuedJSON) { i.Bundle.Roots = "" },
		"no chain":  func(_ *testing.T, _ *enrolments, i *issuedJSON) { i.CertificateChain = "" },
	} {
		t.Run(name, func(t *testing.T) {
			e, flags, out := newEnrolments(t)
			e.alter = func(i *issuedJSON) { alter(t, e, i) }
			code, text := runGet(t, append(flags, "--token", "pjt_once")...)
			if code != exitFailed || !strings.Contains(text, "the server's answer is not used") {
				t.Errorf("exit code %d: %s", code, text)
			}
			if _, err := os.Stat(filepath.Join(out, currentName)); err == nil {
				t.Error("it is in force")
			}
		})
	}
}

func TestGetNeedsOneCredential(t *testing.T) {
	_, flags, _ := newEnrolments(t)
	token := writeFile(t, t.TempDir(), "token", []byte("two words\n"))
	for name, tc := range map[string]struct {
		args []string
		want string
		code int
	}{
		"none":                      {nil, "is needed", exitUsage},
		"two":                       {[]string{"--token", "a", "--jwt-file", "b"}, "exclude each other", exitUsage},
		"a file that is gone":       {[]string{"--token-file", "/nowhere/token"}, "no such file", exitFailed},
		"two words":                 {[]string{"--token-file", token}, "more than one word", exitFailed},
		"nothing on standard input": {[]string{"--token-file", "-"}, "empty", exitFailed},
		"an unknown kind of key":    {[]string{"--token", "a", "--key-algorithm", "dsa"}, "must be one of", exitUsage},
	} {
		t.Run(name, func(t *testing.T) {
			code, text := runGet(t, append(flags, tc.args...)...)
			if code != tc.code || !strings.Contains(text, tc.want) || strings.Contains(text, "two words") {
				t.Errorf("exit code %d, want %d: %s", code, tc.code, text)
			}
		})
	}
}
