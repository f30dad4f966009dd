package rest

import (
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/pando-ca/pando/server"
)

// PublicConfig is what the public door needs.
type PublicConfig struct {
	Service *server.Service // required
}

// issuerAge is how long a cache may keep an issuer's certificate. It never changes under its
// ID; it is only gone one day.
const issuerAge = 24 * time.Hour

// maxCRLAge is how long a cache may keep a CRL: a revocation passes a cache within this time, and to
// ask for a list that has not changed costs next to nothing.
const maxCRLAge = time.Minute

// Public returns the handler for plain HTTP: the trust bundle, the certificates of the
// authorities (RFC 5280, section 4.2.2.1) and their CRLs (section 4.2.1.13), for anybody. It takes no credentials and no body.
func Public(cfg PublicConfig) http.Handler {
	p := public{cfg.Service}
	router := chi.NewMux()
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		router.MethodFunc(method, "/v1/bundle", p.document)
		router.MethodFunc(method, "/v1/bundle.pem", p.roots)
		router.MethodFunc(method, "/v1/issuers/{id}.cer", p.issuer)
		router.MethodFunc(method, "/v1/crls/{id}/{shard}.crl", p.crl)
	}
	return router
}

type public struct{ service *server.Service }

func (p public) document(w http.ResponseWriter, r *http.Request) {
	bundle := p.service.Bundle()
	publish(w, r, publication{jsonType, bundle.ETag, cacheControl(bundle.RefreshHint), bundle.Document})
}

func (p public) roots(w http.ResponseWriter, r *http.Request) {
	bundle := p.service.Bundle()
	publish(w, r, publication{pemFile, bundle.ETag, cacheControl(bundle.RefreshHint), []byte(bundle.PEM)})
}

func (p public) issuer(w http.ResponseWriter, r *http.Request) {
	id := chi.URLParam(r, "id")
	der, ok := p.service.IssuerCertificate(id)
	if !ok {
		http.NotFound(w, r)
		return
	}
	publish(w, r, publication{"application/pkix-cert", strconv.Quote(id), cacheControl(issuerAge), der})
}

func (p public) crl(w http.ResponseWriter, r *http.Request) {
	shard, err := strconv.Atoi(chi.URLParam(r, "shard"))
	if err != nil || strconv.Itoa(shard) != chi.URLParam(r, "shard") { // one list has one URL
		http.NotFound(w, r)
		return
	}
	list, err := p.service.CRL(r.Context(), chi.URLParam(r, "id"), shard)
	if err != nil {
		refusePublic(w, err)
		return
	}
	publish(w, r, publication{"application/pkix-crl", list.ETag, cacheControl(crlAge(list.NextUpdate, time.Now())), list.DER})
}

// crlAge is how long a list may be kept in a cache: never past nextUpdate, and a quarter of the
// time until then where that is short, so that it is asked for again in time.
func crlAge(nextUpdate, now time.Time) time.Duration {
	return max(min(maxCRLAge, nextUpdate.Sub(now)/4), 0)
}

// refusePublic answers that there is nothing to publish.
func refusePublic(w http.ResponseWriter, err error) {
	known := server.AsError(err)
	if known.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(known.RetryAfter/time.Second)))
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, http.StatusText(statusOf(known.Kind)), statusOf(known.Kind))
}

// publication is a body that is equal for everybody.
type publication struct {
	contentType, etag, cacheControl string
	body                            []byte
}

func publish(w http.ResponseWriter, r *http.Request, p publication) {
	header := w.Header()
	header.Set("ETag", p.etag)
	header.Set("Cache-Control", p.cacheControl)
	header.Set("X-Content-Type-Options", "nosniff")
	if r.Header.Get("If-None-Match") == p.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Type", p.contentType)
	header.Set("Content-Length", strconv.Itoa(len(p.body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(p.body) // a client that left is nobody to tell
	}
}

// cacheControl lets caches keep a body for as long as verifiers are told to.
func cacheControl(age time.Duration) string {
	return "public, max-age=" + strconv.Itoa(int(age/time.Second))
}
