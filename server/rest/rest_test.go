package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/server/auth"
	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/sqlite"
)

// admits is an authenticator that takes everybody for an administrator.
type admits struct{}

func (admits) Authenticate(context.Context, auth.Credentials, time.Time) (policy.Caller, error) {
	return policy.Caller{Method: policy.MethodJWT, Subject: "test admin", Role: policy.RoleAdmin}, nil
}

// newDoor is a door that admits everybody, over a store in memory.
func newDoor(t testing.TB) *rest {
	t.Helper()
	s, err := sqlite.OpenMemory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	batcher, err := store.NewBatcher(store.BatcherConfig{Inserter: s})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(batcher.Close)
	service, err := server.New(server.Config{
		Set: catest.New(t, catest.Options{CRLShards: 2}).Set(), Issuances: batcher, Records: s, Entries: s, Tokens: s, Revocations: s, CRLs: secondShard{},
	})
	if err != nil {
		t.Fatal(err)
	}
	d, err := newRest(Config{Service: service, Auth: admits{}})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// ask sends one request without a network.
func ask(t testing.TB, d http.Handler, method, path string, body []byte) (*http.Response, []byte) {
	t.Helper()
	recorder := httptest.NewRecorder()
	d.ServeHTTP(recorder, httptest.NewRequest(method, path, bytes.NewReader(body)))
	response := recorder.Result()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, answer
}

func TestEveryRouteHasAnOperation(t *testing.T) {
	d := newDoor(t)
	carried := make(map[server.Operation]bool)
	err := chi.Walk(d.router, func(method, path string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		if path == descriptionPath && method == http.MethodGet {
			return nil
		}
		op := d.routes[method+" "+path]
		if !slices.Contains(server.Operations(), op) {
			t.Errorf("%s %s carries the operation %q, which is not one", method, path, op)
		}
		carried[op] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range server.Operations() {
		if !carried[op] {
			t.Errorf("no route carries %s", op)
		}
	}
}

func TestKindsHaveStatuses(t *testing.T) {
	tests := map[server.Kind]int{
		server.KindInternal:         500,
		server.KindInvalid:          400,
		server.KindUnauthenticated:  401,
		server.KindPermissionDenied: 403,
		server.KindNotFound:         404,
		server.KindAlreadyExists:    409,
		server.KindConflict:         409,
		server.KindTooLarge:         413,
		server.KindRateLimited:      429,
		server.KindRefused:          409,
		server.KindUnavailable:      503,
		server.Kind(99):             500,
	}
	for kind, want := range tests {
		if got := statusOf(kind); got != want {
			t.Errorf("statusOf(%d) = %d, want %d", kind, got, want)
		}
	}
}

// TestProblems asks for what cannot be had: each answer is a problem document that says so.
func TestProblems(t *testing.T) {
	tests := map[string]struct {
		method, path, contentType, body string
		status                          int
		code                            string
	}{
		"a path that leads nowhere":             {"GET", "/v2/certificates", "", "", 404, "not_found"},
		"a path with dots":                      {"GET", "/v1/entries/../../x", "", "", 404, "not_found"},
		"a method that the path does not take":  {"PUT", "/v1/certificates", "", "", 405, "invalid_request"},
		"another content type":                  {"POST", "/v1/entries", "application/pkcs10", "x", 415, "invalid_request"},
		"a form":                                {"POST", "/v1/certificates", "application/x-www-form-urlencoded", "csr=x", 415, "invalid_request"},
		"no body":                               {"POST", "/v1/certificates", "application/json", "", 400, "invalid_request"},
		"JSON that breaks off":                  {"POST", "/v1/certificates", "application/json", `{"csr":`, 400, "invalid_request"},
		"two JSON values":                       {"POST", "/v1/certificates", "application/json", `{"csr":"x"} {}`, 400, "invalid_request"},
		"an unknown field":                      {"POST", "/v1/certificates", "application/json", `{"csr":"x","ttl":"1h"}`, 400, "invalid_request"},
		"a field in another case":               {"POST", "/v1/certificates", "application/json", `{"CSR":"x"}`, 400, "invalid_request"},
		"a field twice":                         {"POST", "/v1/certificates", "application/json", `{"csr":"x","csr":"y"}`, 400, "invalid_request"},
		"a field of another type":               {"POST", "/v1/certificates", "application/json", `{"csr":1}`, 400, "invalid_request"},
		"a CSR twice":                           {"POST", "/v1/certificates", "application/json", `{"csr":"x","csr_der":"eA=="}`, 400, "invalid_request"},
		"no CSR":                                {"POST", "/v1/certificates", "application/json", `{}`, 400, "invalid_request"},
		"a CSR that is none":                    {"POST", "/v1/certificates", "application/json", `{"csr":"x"}`, 400, "invalid_csr"},
		"a query beside JSON":                   {"POST", "/v1/certificates?profile=server", "application/json", `{"csr":"x"}`, 400, "invalid_request"},
		"an unknown query parameter":            {"GET", "/v1/entries?spiffeid=x", "", "", 400, "invalid_request"},
		"a query that is badly escaped":         {"GET", "/v1/entries?spiffe_id=%zz", "", "", 400, "invalid_request"},
		"a query with a semicolon":              {"GET", "/v1/entries?method=jwt;spiffe_id=x", "", "", 400, "invalid_request"},
		"a query parameter twice":               {"GET", "/v1/entries?method=jwt&method=join_token", "", "", 400, "invalid_request"},
		"a query parameter twice, once escaped": {"GET", "/v1/entries?method=jwt&metho%64=join_token", "", "", 400, "invalid_request"},
		"a query parameter without a value":     {"GET", "/v1/entries?spiffe_id&method=jwt", "", "", 400, "invalid_request"},
		"a query parameter that is empty":       {"GET", "/v1/entries?spiffe_id=", "", "", 400, "invalid_request"},
		"a badly escaped wish beside a CSR":     {"POST", "/v1/certificates?duration=%zz", "application/pkcs10", "x", 400, "invalid_request"},
		"a wish twice beside a CSR":             {"POST", "/v1/certificates?duration=1h&duration=2h", "application/pkcs10", "x", 400, "invalid_request"},
		"names twice beside a CSR":              {"POST", "/v1/certificates?dns_names=a.b&dns_names=c.d", "application/pkcs10", "x", 400, "invalid_csr"},
		"a query where none is read":            {"GET", "/v1/bundle?x=1", "", "", 400, "invalid_request"},
		"a method that nobody knows":            {"BREW", "/v1/certificates", "", "", 405, "invalid_request"},
		"such a method at no path":              {"BREW", "/v2/certificates", "", "", 404, "not_found"},
		"a page size that is not a number":      {"GET", "/v1/entries?page_size=x", "", "", 400, "invalid_request"},
		"a page size beyond the limit":          {"GET", "/v1/entries?page_size=1000", "", "", 400, "invalid_request"},
		"a state that does not exist":           {"GET", "/v1/certificates?state=dead", "", "", 400, "invalid_request"},
		"a moment that is none":                 {"GET", "/v1/certificates?expires_before=yesterday", "", "", 400, "invalid_request"},
		"a page token of somebody else":         {"GET", "/v1/certificates?page_token=x", "", "", 400, "invalid_request"},
		"a serial number that is none":          {"GET", "/v1/certificates/x", "", "", 400, "invalid_request"},
		"a batch of nothing":                    {"POST", "/v1/certificates/batch", "application/json", `{"requests":[]}`, 400, "invalid_request"},
		"a time to live that is not positive":   {"POST", "/v1/join-tokens", "application/json", `{"entry_id":"e","ttl":"0s"}`, 400, "invalid_request"},
		"a time to live that is not a duration": {"POST", "/v1/join-tokens", "application/json", `{"entry_id":"e","ttl":"soon"}`, 400, "invalid_request"},
	}
	d := newDoor(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(test.method, test.path, bytes.NewReader([]byte(test.body)))
			r.Header.Set("Content-Type", test.contentType)
			recorder := httptest.NewRecorder()
			d.ServeHTTP(recorder, r)
			checkProblem(t, recorder, test.status, test.code)
		})
	}
}

// TestMethodsAreNamed asks paths with the wrong method (RFC 9110, section 15.5.6).
func TestMethodsAreNamed(t *testing.T) {
	d := newDoor(t)
	for path, want := range map[string]string{
		"/v1/certificates":       "GET, POST",
		"/v1/entries/x":          "DELETE, GET",
		"/v1/entries/x%2Fy":      "DELETE, GET",
		"/v1/certificates/batch": "GET, POST", // GET looks the serial number "batch" up
	} {
		if r, _ := ask(t, d, http.MethodPut, path, nil); r.Header.Get("Allow") != want {
			t.Errorf("%s: Allow is %q, want %q", path, r.Header.Get("Allow"), want)
		}
	}
}

func TestContentTypesAreNamed(t *testing.T) {
	d := newDoor(t)
	r := httptest.NewRequest(http.MethodPost, "/v1/certificates", bytes.NewReader([]byte("x")))
	r.Header.Set("Content-Type", "text/plain")
	recorder := httptest.NewRecorder()
	d.ServeHTTP(recorder, r)
	if want := "application/json or application/pkcs10"; !bytes.Contains(recorder.Body.Bytes(), []byte(want)) {
		t.Errorf("the answer does not name %s: %s", want, recorder.Body)
	}
}

func checkProblem(t *testing.T, r *httptest.ResponseRecorder, status int, code string) {
	t.Helper()
	var p Problem
	if err := json.Unmarshal(r.Body.Bytes(), &p); err != nil {
		t.Fatalf("not a problem document: %s", r.Body)
	}
	if r.Code != status || p.Status != status || p.Code != code {
		t.Errorf("answered %d: %s; want %d, %s", r.Code, r.Body, status, code)
	}
	if r.Header().Get("Content-Type") != problemType || p.Title == "" || p.Detail == "" || p.Type != "about:blank" {
		t.Errorf("not a whole problem document: %v %s", r.Header(), r.Body)
	}
	if !bytes.HasSuffix(r.Body.Bytes(), []byte("}\n")) {
		t.Errorf("the body does not end its line: %q", r.Body)
	}
	if id := r.Header().Get("X-Request-Id"); id == "" || id != p.RequestID {
		t.Errorf("request ID %q in the header, %q in the body", id, p.RequestID)
	}
}
