package agent

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// Report is how the identities are at one moment.
type Report struct {
	Ready    bool              `json:"ready"`
	Checks   map[string]string `json:"checks"`             // by identity: "ok", or why programs can no longer rely on it
	Warnings map[string]string `json:"warnings,omitempty"` // by identity: what will become a failure if nobody looks
}

// Report returns the state of the identities at now.
func (a *Agent) Report(now time.Time) Report {
	r := Report{Ready: true, Checks: make(map[string]string), Warnings: make(map[string]string)}
	for _, k := range a.keepers {
		failure, warning := k.health(now)
		r.Checks[k.cfg.Name] = "ok"
		if failure != nil {
			r.Ready, r.Checks[k.cfg.Name] = false, failure.Error()
		}
		if warning != nil {
			r.Warnings[k.cfg.Name] = warning.Error()
		}
	}
	return r
}

// health tells what is wrong with an identity and what will be. Programs have what the files
// held when their hook last succeeded, so that counts as well as what was obtained.
func (k *keeper) health(now time.Time) (failure, warning error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.source == nil {
		cause := k.openErr
		if cause == nil {
			cause = k.attempts.last
		}
		return because("there is no identity yet", cause), nil
	}
	status := k.source.Status()
	if status.Expired(now) {
		return because("expired at "+stamp(status.NotAfter), status.LastError), nil
	}
	if status.Revoked {
		return because("revoked: no peer accepts it any more", status.LastError), nil
	}
	if k.published.IsZero() {
		return because("the files are not written yet", k.writeErr), nil
	}
	if now.After(k.published) {
		return because("the certificate in the files expired at "+stamp(k.published), k.writeErr), nil
	}
	for _, h := range k.hooks {
		if failure, warning = h.health(k.cfg.Name, now); failure != nil || warning != nil {
			return failure, warning
		}
	}
	switch {
	case k.writeErr != nil:
		return nil, because("the files are not current", k.writeErr)
	case status.Failures > 0 && now.After(status.RenewalOverdue):
		return nil, because("renewal is overdue since "+stamp(status.RenewalOverdue), status.LastError)
	case k.stateErr != nil:
		return nil, because("a restart would lose the identity", k.stateErr)
	case status.FollowError != nil:
		return nil, because("new roots are learned with the next certificate only", status.FollowError)
	}
	return nil, nil
}

// health tells whether the program has a certificate of the identity that is still good.
func (h *hook) health(identity string, now time.Time) (failure, warning error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, pending := h.pending[identity]; !pending || h.runs.failures == 0 {
		return nil, nil
	}
	if told := h.told[identity]; now.After(told) {
		return because("hook "+h.cfg.Name+" fails, and what it last passed on expired at "+stamp(told), h.runs.last), nil
	}
	return nil, because("hook "+h.cfg.Name+" fails", h.runs.last)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// because adds the cause to what is wrong, if it is known.
func because(what string, cause error) error {
	if cause == nil {
		return fmt.Errorf("%s", what)
	}
	return fmt.Errorf("%s: %w", what, cause)
}

// ServeLive answers whether the process is worth keeping: it is while it answers at all.
func (a *Agent) ServeLive(w http.ResponseWriter, _ *http.Request) {
	writeReport(w, Report{Ready: true, Checks: map[string]string{}})
}

// ServeReady answers with the [Report], and with status 503 if an identity has failed.
func (a *Agent) ServeReady(w http.ResponseWriter, _ *http.Request) {
	writeReport(w, a.Report(time.Now()))
}

func writeReport(w http.ResponseWriter, r Report) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !r.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	// A client that is gone needs no answer.
	_ = json.NewEncoder(w).Encode(r)
}
