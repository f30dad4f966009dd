package client

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pando-ca/pando/ca/spiffeid"
)

// DebugHandler returns a page that tells a person what the identity is, what is trusted, what
// failed last, and when the next renewal is: as text, or as JSON with ?format=json or when the
// Accept header asks for it. It answers GET and HEAD, at whatever path it is mounted.
//
// It never shows a key or a token. But it names peers, addresses and the errors of the CA, and
// asks nobody who they are: serve it where only operators come, such as a loopback address.
func (s *Source) DebugHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		asJSON, ok := wantsJSON(r)
		if !ok {
			http.Error(w, "format is text or json", http.StatusBadRequest)
			return
		}
		page := s.debugPage(time.Now())
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if asJSON {
			w.Header().Set("Content-Type", "application/json")
			encoder := json.NewEncoder(w)
			encoder.SetIndent("", "  ")
			encoder.Encode(page) //nolint:errcheck // whoever asked is gone
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		page.write(w)
	})
}

// wantsJSON says in which form the page is asked for; false if there is no such form.
func wantsJSON(r *http.Request) (asJSON, ok bool) {
	switch r.URL.Query().Get("format") {
	case "json":
		return true, true
	case "text":
		return false, true
	case "":
		return strings.Contains(r.Header.Get("Accept"), "application/json"), true
	}
	return false, false
}

// debugPage is what the debug handler shows. Its fields may grow; none changes its meaning.
type debugPage struct {
	At                time.Time          `json:"at"`
	Ready             bool               `json:"ready"`
	Usable            string             `json:"usable"` // "yes", or why handshakes fail
	SPIFFEID          string             `json:"spiffe_id,omitempty"`
	TrustDomain       string             `json:"trust_domain"`
	Chain             []debugCertificate `json:"chain"`
	Renewal           debugRenewal       `json:"renewal"`
	Bundle            debugBundle        `json:"bundle"`
	Revocations       debugRevocations   `json:"revocations"`
	Modes             debugModes         `json:"modes"`
	CacheError        string             `json:"cache_error,omitempty"`
	HandshakeFailures uint64             `json:"handshake_failures"`        // in all
	HandshakesFailed  []failedHandshake  `json:"recent_handshake_failures"` // the newest first
}

type debugCertificate struct {
	Subject   string    `json:"subject"` // the SPIFFE ID; the name of an authority
	Serial    string    `json:"serial"`
	ID        string    `json:"id"` // as Pando names an authority
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	Key       string    `json:"key_algorithm"`
}

type debugRenewal struct {
	Due         time.Time `json:"due,omitzero"`
	Overdue     time.Time `json:"overdue,omitzero"`
	LastSuccess time.Time `json:"last_success,omitzero"`
	LastFailure time.Time `json:"last_failure,omitzero"`
	LastError   string    `json:"last_error,omitempty"`
	Failures    int       `json:"failures"`
}

type debugBundle struct {
	Sequence    uint64             `json:"sequence"`
	Updated     time.Time          `json:"updated,omitzero"`
	Following   bool               `json:"following"`
	FollowError string             `json:"follow_error,omitempty"`
	Roots       []debugCertificate `json:"roots"`
}

type debugRevocations struct {
	Own          bool      `json:"own_certificate"`
	Certificates int       `json:"certificates"`
	Sequence     uint64    `json:"sequence"`
	Updated      time.Time `json:"updated,omitzero"`
	AgeSeconds   float64   `json:"age_seconds,omitempty"` // since updated
}

type debugModes struct {
	PolicyVersion string          `json:"policy_version,omitempty"`
	PolicyError   string          `json:"policy_error,omitempty"`
	Listeners     []debugListener `json:"listeners"`
	Overrides     []debugOverride `json:"overrides"` // those in force
}

type debugListener struct {
	Name          string    `json:"name"`
	Mode          Mode      `json:"mode"`
	From          From      `json:"from"`
	LastMTLS      time.Time `json:"last_mtls,omitzero"`
	LastPlaintext time.Time `json:"last_plaintext,omitzero"`
}

type debugOverride struct {
	ID      string    `json:"id"`
	Name    string    `json:"name,omitempty"`
	Side    string    `json:"side"`
	From    From      `json:"from"`
	Expires time.Time `json:"expires"`
	Reason  string    `json:"reason"`
}

// debugModes is what the page says about modes.
func (s *Source) debugModes(st Status) debugModes {
	m := debugModes{
		PolicyVersion: st.PolicyVersion, PolicyError: messageOf(st.PolicyError),
		Listeners: make([]debugListener, 0), Overrides: make([]debugOverride, 0),
	}
	for _, l := range s.Listeners() {
		m.Listeners = append(m.Listeners, debugListener{l.Name, l.Mode, l.From, l.LastMTLS, l.LastPlaintext})
	}
	for _, o := range st.Overrides {
		m.Overrides = append(m.Overrides, debugOverride{printable(o.ID), o.Name, o.Side, o.From, o.Expires, printable(o.Reason)})
	}
	return m
}

// debugPage gathers the page of one moment.
func (s *Source) debugPage(now time.Time) debugPage {
	s.mu.Lock()
	cur, st := s.snapshot.Load(), s.status()
	s.mu.Unlock()
	p := debugPage{
		At: now.Round(0), Ready: st.Ready, Usable: "yes", SPIFFEID: cur.id.String(), TrustDomain: cur.trust.domain.String(),
		Chain: debugCertificates(cur.chain), CacheError: messageOf(st.CacheError),
		Renewal: debugRenewal{
			Due: st.RenewalDue.Round(0), Overdue: st.RenewalOverdue.Round(0), LastSuccess: st.LastSuccess.Round(0),
			LastFailure: st.LastFailure.Round(0), LastError: messageOf(st.LastError), Failures: st.Failures,
		},
		Bundle: debugBundle{
			Sequence: st.BundleSequence, Updated: st.BundleUpdated.Round(0), Following: st.Following,
			FollowError: messageOf(st.FollowError), Roots: debugCertificates(cur.trust.roots),
		},
		Revocations: debugRevocations{
			Own: st.Revoked, Certificates: st.RevokedCertificates, Sequence: st.RevocationSequence, Updated: st.RevocationsUpdated.Round(0),
		},
	}
	p.Modes = s.debugModes(st)
	if err := s.live(cur, now); err != nil {
		p.Usable = messageOf(err)
	}
	if !st.RevocationsUpdated.IsZero() {
		p.Revocations.AgeSeconds = now.Sub(st.RevocationsUpdated).Seconds()
	}
	p.HandshakesFailed, p.HandshakeFailures = s.handshakes.recent()
	return p
}

func debugCertificates(certs []*x509.Certificate) []debugCertificate {
	shown := make([]debugCertificate, 0, len(certs))
	for _, cert := range certs {
		subject := printable(cert.Subject.String())
		if id, err := spiffeid.FromCertificate(cert); err == nil && !cert.IsCA {
			subject = id.String()
		}
		shown = append(shown, debugCertificate{
			Subject: subject, Serial: fmt.Sprintf("%038x", cert.SerialNumber), ID: authorityID(cert),
			NotBefore: cert.NotBefore, NotAfter: cert.NotAfter, Key: cert.PublicKeyAlgorithm.String(),
		})
	}
	return shown
}

// messageOf is an error for people; empty for nil.
func messageOf(err error) string {
	if err == nil {
		return ""
	}
	return printable(err.Error())
}

// write writes the page as text.
func (p debugPage) write(to io.Writer) {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	line := func(name string, value any) { fmt.Fprintf(w, "%s\t%v\n", name, value) }
	ago := func(name string, t time.Time) { line(name, p.relative(t)) }
	ago("at", p.At)
	line("usable", p.Usable)
	line("spiffe id", p.SPIFFEID)
	line("trust domain", p.TrustDomain)
	p.certificates(w, "chain", p.Chain)
	ago("renewal due", p.Renewal.Due)
	ago("overdue", p.Renewal.Overdue)
	ago("last success", p.Renewal.LastSuccess)
	ago("last failure", p.Renewal.LastFailure)
	line("last error", p.Renewal.LastError)
	line("failures in a row", p.Renewal.Failures)
	line("not in the cache", p.CacheError)
	line("bundle sequence", p.Bundle.Sequence)
	ago("bundle updated", p.Bundle.Updated)
	line("following the CA", p.Bundle.Following)
	line("why not", p.Bundle.FollowError)
	p.certificates(w, "root", p.Bundle.Roots)
	line("own certificate revoked", p.Revocations.Own)
	line("revoked certificates", p.Revocations.Certificates)
	line("revocation sequence", p.Revocations.Sequence)
	ago("revocations updated", p.Revocations.Updated)
	p.modes(line)
	line("failed handshakes", p.HandshakeFailures)
	for _, f := range p.HandshakesFailed {
		line("  "+f.At.UTC().Format(time.RFC3339), strings.Join([]string{f.Side, f.Remote, string(f.Reason), f.Error}, " "))
	}
	w.Flush()
}

// modes writes what is about modes.
func (p debugPage) modes(line func(name string, value any)) {
	line("mtls policy", p.Modes.PolicyVersion)
	line("not understood", p.Modes.PolicyError)
	for _, l := range p.Modes.Listeners {
		line("listener "+l.Name, fmt.Sprintf("%s by %s, last mtls %s, last plaintext %s", l.Mode, l.From, p.relative(l.LastMTLS), p.relative(l.LastPlaintext)))
	}
	for _, o := range p.Modes.Overrides {
		line("override "+o.ID, fmt.Sprintf("%s of %q, by %s, until %s: %s", o.Side, o.Name, o.From, p.relative(o.Expires), o.Reason))
	}
}

func (p debugPage) certificates(w io.Writer, name string, certs []debugCertificate) {
	for _, c := range certs {
		fmt.Fprintf(w, "%s\t%s, serial %s, id %s, %s, until %s\n", name, c.Subject, c.Serial, c.ID, c.Key, p.relative(c.NotAfter))
	}
}

// relative is a time with how far it is from the time of the page; "-" if there is none.
func (p debugPage) relative(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	text := t.UTC().Format(time.RFC3339)
	switch d := t.Sub(p.At).Round(time.Second); {
	case d > 0:
		return fmt.Sprintf("%s (in %s)", text, d)
	case d < 0:
		return fmt.Sprintf("%s (%s ago)", text, -d)
	}
	return text
}
