package rest

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"

	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/server/door"
)

// statusOf is the HTTP status of a kind of failure.
func statusOf(kind server.Kind) int {
	switch kind {
	case server.KindInvalid:
		return http.StatusBadRequest
	case server.KindUnauthenticated:
		return http.StatusUnauthorized
	case server.KindPermissionDenied:
		return http.StatusForbidden
	case server.KindNotFound:
		return http.StatusNotFound
	case server.KindAlreadyExists, server.KindConflict, server.KindRefused:
		return http.StatusConflict
	case server.KindTooLarge:
		return http.StatusRequestEntityTooLarge
	case server.KindRateLimited:
		return http.StatusTooManyRequests
	case server.KindUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

const problemType = "application/problem+json"

// Problem is a failure as a problem document (RFC 9457).
type Problem struct {
	Type      string `json:"type" doc:"Always about:blank: the code says more than a page could." example:"about:blank"`
	Title     string `json:"title" doc:"The status in words." example:"Forbidden"`
	Status    int    `json:"status" doc:"The HTTP status." example:"403"`
	Detail    string `json:"detail" doc:"What is wrong, for people." example:"the caller may not have spiffe://example.org/db"`
	Code      string `json:"code" doc:"Stable error code, for programs." example:"policy_denied"`
	RequestID string `json:"request_id" doc:"The request, as in the log and in the header X-Request-Id." example:"6f1c9be20d7a4f7f8f5c1a42"`
	Rule      string `json:"rule,omitempty" doc:"With code policy_denied: the rule that was broken." example:"identity"`
}

// Error implements error.
func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return problemType }

var (
	_ huma.StatusError       = (*Problem)(nil)
	_ huma.ContentTypeFilter = (*Problem)(nil)
)

// fail notes that the request has failed and returns what to tell the client.
func (ex *exchange) fail(err error) *Problem {
	failure := door.Failure(err)
	return ex.failWith(failure, statusOf(failure.Kind))
}

// failWith is fail for what HTTP has a status for and the use cases have no kind.
func (ex *exchange) failWith(failure *server.Error, status int) *Problem {
	ex.failure, ex.refusal = failure, status
	switch {
	case status == http.StatusUnauthorized:
		ex.Header().Set("WWW-Authenticate", "Bearer")
	case failure.RetryAfter > 0:
		seconds := math.Ceil(failure.RetryAfter.Seconds()) // whole seconds (RFC 9110, section 10.2.3)
		ex.Header().Set("Retry-After", strconv.Itoa(int(seconds)))
	}
	return &Problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status,
		Detail: failure.Message, Code: failure.Code, RequestID: ex.ID, Rule: failure.Rule,
	}
}

// refuse answers with a failure without the help of a route.
func (ex *exchange) refuse(err error) { ex.writeProblem(ex.fail(err)) }

func (ex *exchange) writeProblem(p *Problem) {
	ex.Header().Set("Content-Type", problemType)
	body, err := json.Marshal(p)
	if err != nil { // not for a struct of strings
		body = nil
	}
	ex.writeAll(append(body, '\n')) // as every other JSON ends
}

// noRoute answers for a path that leads nowhere.
func noRoute(_ http.ResponseWriter, r *http.Request) {
	exchangeOf(r.Context()).refuse(&server.Error{
		Kind: server.KindNotFound, Code: "not_found", Message: "there is nothing at this path",
	})
}

// noMethod answers for a path that does not take the method, and says which it takes.
func (d *rest) noMethod(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if r.URL.RawPath != "" {
		path = r.URL.RawPath // as chi routes
	}
	var allowed []string
	for _, method := range []string{http.MethodDelete, http.MethodGet, http.MethodPatch, http.MethodPost, http.MethodPut} {
		if d.router.Match(chi.NewRouteContext(), method, path) {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 { // chi asks here before it has looked when it does not know the method
		noRoute(w, r)
		return
	}
	ex := exchangeOf(r.Context())
	ex.Header().Set("Allow", strings.Join(allowed, ", "))
	ex.writeProblem(ex.failWith(door.Invalid("this path does not take the method"), http.StatusMethodNotAllowed))
}

// humaFailure is the failure behind what huma found wrong with a request. Its words are kept,
// what the client sent is not repeated.
func (ex *exchange) humaFailure(model *huma.ErrorModel) *Problem {
	status, failure := model.Status, door.Invalid(humaWords(model))
	switch status {
	case http.StatusRequestTimeout, http.StatusUnsupportedMediaType:
		// HTTP has a word for it, the use cases have not.
	case http.StatusRequestEntityTooLarge:
		failure = door.TooLarge("the request body is too large")
	case http.StatusInternalServerError:
		// A body that breaks off. What is ours is a *Problem long before.
		failure, status = door.Invalid("the request body breaks off"), http.StatusBadRequest
	default:
		status = http.StatusBadRequest
	}
	return ex.failWith(failure, status)
}

func humaWords(model *huma.ErrorModel) string {
	words := make([]string, 0, len(model.Errors))
	for _, detail := range model.Errors {
		if detail == nil {
			continue
		}
		words = append(words, fmt.Sprintf("%s: %s", detail.Location, detail.Message))
	}
	if len(words) == 0 {
		return model.Detail
	}
	return strings.Join(words, "; ")
}
