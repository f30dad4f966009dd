package client

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// fakePoll is one poll of the trust as the server saw it.
type fakePoll struct {
	At    time.Time
	Peer  string // serial number of the client certificate in hex
	After uint64
	Wait  time.Duration

	Revocations bool // whether they are asked for, and after which
	RevokedPast uint64

	MTLS        bool // whether the policy is asked for, and which is known
	MTLSVersion string
}

// serveTrust answers a poll when there is something newer, or its time is over.
func (f *fakePando) serveTrust(w http.ResponseWriter, r *http.Request) {
	if f.absent(r) {
		http.NotFound(w, r)
		return
	}
	p, err := readPoll(r)
	if p.Revocations && f.ignorant {
		writeProblem(w, 400, "invalid_request", "query.revocations_after: unknown query parameter")
		return
	}
	if p.MTLS && f.noPolicies {
		writeProblem(w, 400, "invalid_request", "query.mtls_version: unknown query parameter")
		return
	}
	if err != nil {
		f.complain("poll: %v", err)
		writeProblem(w, 400, "invalid_request", err.Error())
		return
	}
	f.mu.Lock()
	f.polls = append(f.polls, p)
	n, hook := len(f.polls), f.pollHook
	f.mu.Unlock()
	if hook != nil && hook(n, w, r, p) {
		return
	}
	f.await(r.Context(), p)
	f.mu.Lock()
	window := f.windows[p.Peer]
	a := trustAnswer{Bundle: f.bundleNow(), Renewal: &window, Revocations: f.revokedSince(p)}
	if p.MTLS {
		a.MTLS = f.policy
	}
	f.mu.Unlock()
	json.NewEncoder(w).Encode(a)
}

func readPoll(r *http.Request) (fakePoll, error) {
	p := fakePoll{At: time.Now()}
	if r.Method != http.MethodGet || r.Header.Get("Authorization") != "" || len(r.TLS.PeerCertificates) == 0 {
		return p, fmt.Errorf("%s, authorization %q, %d certificates", r.Method, r.Header.Get("Authorization"), len(r.TLS.PeerCertificates))
	}
	p.Peer = fmt.Sprintf("%038x", r.TLS.PeerCertificates[0].SerialNumber)
	if time.Now().After(r.TLS.PeerCertificates[0].NotAfter) {
		return p, errors.New("poll with an expired certificate")
	}
	var err error
	if p.After, err = strconv.ParseUint(r.URL.Query().Get("after"), 10, 64); err != nil {
		return p, err
	}
	if p.Revocations = r.URL.Query().Has("revocations_after"); p.Revocations {
		if p.RevokedPast, err = strconv.ParseUint(r.URL.Query().Get("revocations_after"), 10, 64); err != nil {
			return p, err
		}
	}
	p.MTLS, p.MTLSVersion = r.URL.Query().Has("mtls_version"), r.URL.Query().Get("mtls_version")
	p.Wait, err = time.ParseDuration(r.URL.Query().Get("wait"))
	return p, err
}

// fakeRevocations is what a fake Pando says is revoked.
type fakeRevocations struct {
	silent      bool // it is too old to say so
	ignorant    bool // and refuses to be asked
	serials     []serial
	authorities []keyID
	base        uint64 // added to the number of serials it is the sequence
	page        int    // serials in an answer; 0: 10 000
	reset       bool   // the next answer is the beginning of the list
}

// revokedSince is the list for a poll. The caller holds mu.
func (f *fakePando) revokedSince(p fakePoll) *revocationList {
	if !p.Revocations || f.silent {
		return nil
	}
	past := int(p.RevokedPast - min(p.RevokedPast, f.base))
	l := &revocationList{Authorities: f.authorities, Reset: past > len(f.serials) || f.reset}
	if l.Reset {
		past, f.reset = 0, false
	}
	page := f.page
	if page == 0 {
		page = 10_000
	}
	end := min(past+page, len(f.serials))
	l.Serials, l.More, l.Sequence = f.serials[past:end], end < len(f.serials), f.base+uint64(end)
	return l
}

// newlyRevoked reports whether there is something to tell. The caller holds mu.
func (f *fakePando) newlyRevoked(p fakePoll) bool {
	return p.Revocations && !f.silent && (p.RevokedPast != f.base+uint64(len(f.serials)) || f.reset)
}

// revoke revokes certificates.
func (f *fakePando) revoke(certs ...*x509.Certificate) {
	f.change(func() {
		for _, cert := range certs {
			n, _ := serialOf(cert)
			f.serials = append(f.serials, n)
		}
	})
}

// revokeAuthority revokes the key of an authority.
func (f *fakePando) revokeAuthority(cert *x509.Certificate) {
	f.change(func() { f.authorities, f.base = append(f.authorities, keyIDOf(cert)), f.base+1 })
}

// await holds a poll until there is something to tell.
func (f *fakePando) await(ctx context.Context, p fakePoll) {
	timer := time.NewTimer(p.Wait)
	defer timer.Stop()
	f.mu.Lock()
	window := f.windows[p.Peer]
	f.mu.Unlock()
	for {
		f.mu.Lock()
		news := p.After == 0 || f.sequence > p.After || f.windows[p.Peer] != window || f.newlyRevoked(p) || f.newPolicy(p)
		changed := f.changed
		f.mu.Unlock()
		if news {
			return
		}
		select {
		case <-changed:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// change changes something and wakes the polls that wait.
func (f *fakePando) change(edit func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	edit()
	close(f.changed)
	f.changed = make(chan struct{})
}

// publish makes these roots the bundle of a sequence.
func (f *fakePando) publish(sequence uint64, roots ...*x509.Certificate) {
	f.change(func() { f.sequence, f.roots = sequence, roots })
}

// polled returns the polls so far.
func (f *fakePando) polled() []fakePoll {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]fakePoll(nil), f.polls...)
}

// absent reports whether the host of a request is too old for polls.
func (f *fakePando) absent(r *http.Request) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.old && r.Host != f.oldHost {
		return false
	}
	f.unheard = append(f.unheard, time.Now())
	return true
}

// inVain returns when somebody asked for what is not there.
func (f *fakePando) inVain() []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]time.Time(nil), f.unheard...)
}

// fakePolicy is what a fake Pando says about modes, and what it is told of them.
type fakePolicy struct {
	noPolicies bool // it is too old to be asked for them
	policy     json.RawMessage
	reports    []fakeReport
	noReports  int // the status with which it refuses to be told; 0: it does not
}

// fakeReport is a report as the server got it.
type fakeReport struct {
	At   time.Time
	Peer string
	report
}

// newPolicy reports whether there is another policy to tell. The caller holds mu.
func (f *fakePando) newPolicy(p fakePoll) bool {
	var a struct{ Version string }
	return p.MTLS && len(f.policy) > 0 && (json.Unmarshal(f.policy, &a) != nil || a.Version != p.MTLSVersion)
}

// decree makes something the policy.
func (f *fakePando) decree(policy string) {
	f.change(func() { f.policy = json.RawMessage(policy) })
}

// serveReport takes in a report.
func (f *fakePando) serveReport(w http.ResponseWriter, r *http.Request) {
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	got := fakeReport{At: time.Now()}
	err := decoder.Decode(&got.report)
	if err != nil || r.Method != http.MethodPost || len(r.TLS.PeerCertificates) == 0 || len(got.Instance) != 16 {
		f.complain("report: %v, %s, %d certificates, %+v", err, r.Method, len(r.TLS.PeerCertificates), got)
		return
	}
	got.Peer = fmt.Sprintf("%038x", r.TLS.PeerCertificates[0].SerialNumber)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reports = append(f.reports, got)
	if f.noReports != 0 {
		writeProblem(w, f.noReports, "not_found", "no such thing")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// reported returns the reports so far.
func (f *fakePando) reported() []fakeReport {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]fakeReport(nil), f.reports...)
}
