package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"time"
)

const (
	reportPath = "/v1/mtls/report"

	// plaintextPause is how long the CA is not told of further plaintext. It wants to know
	// whether there is any within days.
	plaintextPause = 5 * time.Minute

	// maxReported is how many listeners a report may name.
	maxReported = 64
)

// report tells the CA what the listeners of this process accept, so that it can say when
// they are ready to be strict. Unlike an answer it is of this process, not of the identity.
type report struct {
	Instance  string           `json:"instance"` // 16 hex digits, random per Source
	Listeners []reportListener `json:"listeners"`
}

type reportListener struct {
	Name          string     `json:"name"`
	Mode          Mode       `json:"mode"`
	From          From       `json:"from"`
	ObservedSince time.Time  `json:"observed_since"`
	LastMTLS      *time.Time `json:"last_mtls,omitempty"`
	LastPlaintext *time.Time `json:"last_plaintext,omitempty"`
}

// reporter knows what the CA was told. It belongs to the follower.
type reporter struct {
	instance string
	leaf     *x509.Certificate         // of the last report
	at       time.Time                 // of the last report
	told     map[string]ListenerStatus // by name, in the last report
	deaf     *x509.Certificate         // with which the CA did not know what a report is
}

func newReporter() reporter {
	var random [8]byte
	_, _ = rand.Read(random[:]) // it never fails
	return reporter{instance: hex.EncodeToString(random[:])}
}

// due reports whether there is something to tell: a new certificate, another mode, the first
// connection in mutual TLS, or plaintext, which is told of now and then only.
func (r *reporter) due(leaf *x509.Certificate, listeners []ListenerStatus, now time.Time) bool {
	switch {
	case r.deaf == leaf:
		return false
	case len(listeners) != len(r.told), r.leaf != leaf && len(listeners) > 0:
		return true
	}
	for _, l := range listeners {
		told, ok := r.told[l.Name]
		switch {
		case !ok, l.Mode != told.Mode, l.From != told.From, told.LastMTLS.IsZero() && !l.LastMTLS.IsZero():
			return true
		case l.LastPlaintext.After(told.LastPlaintext) && now.Sub(r.at) >= plaintextPause:
			return true
		}
	}
	return false
}

// report tells the CA about the listeners if there is something to tell, over the line of the
// poll that has just been answered. What fails is tried again after the next poll.
func (f *follower) report(ctx context.Context, cur *snapshot) {
	r, now := &f.reporter, time.Now()
	listeners := f.source.Listeners()
	listeners = listeners[:min(len(listeners), maxReported)]
	if ctx.Err() != nil || !r.due(cur.leaf(), listeners, now) {
		return
	}
	err := f.send(ctx, f.servers[f.preferred], cur, newReport(r.instance, listeners))
	switch {
	case isInvalid(err), isAbsent(err):
		r.deaf = cur.leaf()
	case err != nil:
		f.source.log.Debug("report on listeners failed", "spiffe_id", cur.id, "error", err)
	default:
		r.leaf, r.at, r.told = cur.leaf(), now, make(map[string]ListenerStatus)
		for _, l := range listeners {
			r.told[l.Name] = l
		}
	}
}

func newReport(instance string, listeners []ListenerStatus) report {
	known := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		t = t.UTC()
		return &t
	}
	r := report{Instance: instance, Listeners: make([]reportListener, len(listeners))}
	for i, l := range listeners {
		r.Listeners[i] = reportListener{
			Name: l.Name, Mode: l.Mode, From: l.From, ObservedSince: l.Since.UTC(),
			LastMTLS: known(l.LastMTLS), LastPlaintext: known(l.LastPlaintext),
		}
	}
	return r
}

// send posts a report.
func (f *follower) send(ctx context.Context, server string, cur *snapshot, r report) error {
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, server+reportPath, bytes.NewReader(body))
	if err != nil {
		return err
	}
	setHeader(request)
	request.Header.Set("Content-Type", "application/json")
	l, err := f.lineTo(ctx, server, request, cur)
	if err != nil {
		return err
	}
	response, answer, reusable, err := l.ask(ctx, request) //nolint:bodyclose // readResponse closes it
	if err != nil || !reusable {
		f.hangUp()
	}
	switch {
	case err != nil:
		return err
	case response.StatusCode >= 300:
		return refusal(server, response, answer, time.Now())
	}
	return nil
}
