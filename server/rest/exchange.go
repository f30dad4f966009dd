package rest

import (
	"context"
	"net/http"
	"strconv"

	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/server/auth"
	"github.com/pando-ca/pando/server/door"
)

// exchange is one request and its answer. It belongs to the goroutine that answers. It is
// the http.ResponseWriter that the routes see: it holds the header back until the body comes,
// so that the length of a whole body is in it.
type exchange struct {
	*door.Request
	w       http.ResponseWriter
	status  int           // what the route answers with; 0 until it says so
	sent    bool          // the header has left
	failure *server.Error // what the answer tells of; nil while it is good
	refusal int           // with failure: the status that it has
}

type exchangeKey struct{}

// exchangeOf is the exchange of a request that came through ServeHTTP.
func exchangeOf(ctx context.Context) *exchange { return ctx.Value(exchangeKey{}).(*exchange) }

// Header implements http.ResponseWriter.
func (ex *exchange) Header() http.Header { return ex.w.Header() }

// Unwrap lets http.ResponseController reach the connection.
func (ex *exchange) Unwrap() http.ResponseWriter { return ex.w }

// WriteHeader implements http.ResponseWriter.
func (ex *exchange) WriteHeader(status int) { ex.status = status }

// Write implements http.ResponseWriter.
func (ex *exchange) Write(body []byte) (int, error) {
	ex.finish()
	return ex.w.Write(body)
}

// writeAll answers with a whole body.
func (ex *exchange) writeAll(body []byte) {
	ex.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = ex.Write(body) // a client that left is nobody to tell
}

// finish sends the header if nothing has sent it. The status of a failure is the one that
// errors.go gives it, whatever the route said.
func (ex *exchange) finish() {
	if ex.sent {
		return
	}
	ex.sent = true
	status := ex.status
	switch {
	case ex.failure != nil:
		status = ex.refusal
	case status == 0:
		status = http.StatusOK
	}
	ex.w.WriteHeader(status)
}

// credentialsOf reads what a request shows of its caller. Nothing is judged here.
func credentialsOf(r *http.Request) (auth.Credentials, error) {
	bearer, err := auth.BearerToken(r.Header["Authorization"])
	if err != nil {
		return auth.Credentials{}, err
	}
	credentials := auth.Credentials{Bearer: bearer, Address: door.Host(r.RemoteAddr)}
	if r.TLS != nil {
		credentials.Chain = r.TLS.PeerCertificates
	}
	return credentials, nil
}
