package door

import (
	"context"
	"fmt"
	"time"

	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/server"
)

// Limits on what a request may hold.
const (
	// MaxCSR is the greatest size of a CSR in octets, PEM armour included. It is that of
	// ca.MaxCSRSize; a CSR above it is not parsed.
	MaxCSR = 64 << 10
	// MaxBody is the greatest size of a request in octets: a CSR in base64 and as many names
	// as it may have.
	MaxBody = 128 << 10
	// MaxBatchBody is the greatest size of a batch in octets: 500 CSRs with RSA-4096 keys
	// take less than a quarter of it.
	MaxBatchBody = 4 << 20
)

// Wanted is what a request for a certificate holds, as both doors read it. Exactly one of
// CSR and CSRDER is set.
type Wanted struct {
	CSR      string
	CSRDER   []byte
	SPIFFEID string
	DNSNames []string
	Profile  string
	Duration *time.Duration // nil: the profile's
	Err      error          // what the door found wrong while it read the request
}

// Request checks what can be checked without knowing who asks.
func (w Wanted) Request(requestID string) (server.Request, error) {
	request := server.Request{CSR: w.CSRDER, RequestID: requestID}
	switch {
	case w.Err != nil:
		return request, w.Err
	case w.CSR != "" && len(w.CSRDER) > 0:
		return request, Invalid("csr and csr_der exclude each other")
	case w.CSR == "" && len(w.CSRDER) == 0:
		return request, Invalid("csr: missing")
	case len(w.CSR) > MaxCSR || len(w.CSRDER) > MaxCSR:
		return request, TooLarge(fmt.Sprintf("csr: larger than %d octets", MaxCSR))
	case w.Duration != nil && *w.Duration <= 0:
		return request, Invalid("duration: not positive")
	}
	if w.CSR != "" {
		request.CSR = []byte(w.CSR)
	}
	if w.SPIFFEID != "" {
		id, err := spiffeid.Parse(w.SPIFFEID)
		if err != nil {
			return request, Invalid("spiffe_id: " + err.Error())
		}
		request.Want.ID = id
	}
	if w.Duration != nil {
		request.Want.Duration = *w.Duration
	}
	request.Want.DNSNames = w.DNSNames
	request.Want.Profile = w.Profile
	return request, nil
}

// IssueBatch issues what can be issued. A request of the batch that cannot even be read is
// refused alone, like one that policy refuses.
func IssueBatch(ctx context.Context, service *server.Service, r *Request, all []Wanted) ([]server.Result, error) {
	if len(all) == 0 || len(all) > server.MaxBatch {
		return nil, Invalid(fmt.Sprintf("requests: a batch holds 1 to %d requests, not %d", server.MaxBatch, len(all)))
	}
	results := make([]server.Result, len(all))
	requests := make([]server.Request, 0, len(all))
	places := make([]int, 0, len(all)) // of requests in all
	for i := range all {
		request, err := all[i].Request(r.ID)
		if err != nil {
			results[i].Err = err
			continue
		}
		requests, places = append(requests, request), append(places, i)
	}
	if len(requests) == 0 {
		return results, nil
	}
	issued, err := service.IssueBatch(ctx, r.Caller, requests)
	if err != nil {
		return nil, err
	}
	for i, result := range issued {
		results[places[i]] = result
	}
	return results, nil
}

// FilterID checks a SPIFFE ID that a listing is filtered by: one that cannot exist is a
// mistake, not an empty answer.
func FilterID(id string) error {
	if id == "" {
		return nil
	}
	if _, err := spiffeid.Parse(id); err != nil {
		return Invalid("spiffe_id: " + err.Error())
	}
	return nil
}
