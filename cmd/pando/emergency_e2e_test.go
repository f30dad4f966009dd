package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/client"
	"github.com/pando-ca/pando/store"
)

// e2eAdministrator administers while its certificate lives for seconds only.
const e2eAdministrator = "spiffe://example.org/pando/admin/e2e"

// administrator is somebody with the role admin, over REST.
type administrator struct {
	http *http.Client
	url  string
}

// administrator enrols one with the client library, which keeps the certificate fresh.
func (d *rotating) administrator(t *testing.T) *administrator {
	t.Helper()
	token := newToken(t, openPostgres(t, d.url), store.Entry{ID: "ent_e2e", SPIFFEID: e2eAdministrator, Profile: profileAdministrator})
	source := d.enrol(t, token)
	pando, err := spiffeid.Join(source.TrustDomain(), "pando", "server")
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: source.ClientTLS(client.AuthorizeID(pando)), DisableKeepAlives: true}
	return &administrator{&http.Client{Transport: transport, Timeout: startLimit}, d.urls()[0]}
}

// enrol enrols a workload that comes late, with the trust bundle of now.
func (d *rotating) enrol(t *testing.T, token string) *client.Source {
	t.Helper()
	source := openWorkload(t, client.Config{Servers: d.urls(), TrustBundle: d.replicas[0].bundle(t), JoinToken: token})
	t.Cleanup(func() { _ = source.Close() })
	return source
}

// bundle is the trust bundle of now.
func (d *deployment) bundle(t *testing.T) []byte {
	t.Helper()
	resp, err := http.Get("http://" + d.addr.Public + "/v1/bundle.pem")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	roots, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return roots
}

// call makes a request, and returns the status. answer may be nil.
func (a *administrator) call(t *testing.T, method, path string, body, answer any) int {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, a.url+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := a.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode/100 != 2 && resp.StatusCode != http.StatusConflict {
		t.Fatalf("%s %s: %d %s", method, path, resp.StatusCode, got)
	}
	if answer != nil && resp.StatusCode/100 == 2 {
		if err := json.Unmarshal(got, answer); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, got)
		}
	}
	return resp.StatusCode
}

// revokeWorkload has a certificate stolen and then revoked: within two seconds a workload that
// was served by the thief's peer refuses each new handshake, and cuts the connection that is open.
func (d *rotating) revokeWorkload(t *testing.T, admin *administrator) {
	t.Helper()
	db := openPostgres(t, d.url)
	var pair [2]*client.Source
	for i, name := range []string{"victim", "witness"} {
		token := newToken(t, db, store.Entry{ID: "ent_" + name, SPIFFEID: "spiffe://example.org/" + name, Profile: "workload"})
		pair[i] = d.enrol(t, token)
	}
	victim, witness := pair[0], pair[1]
	address := serveTo(t, witness, client.AuthorizeID(victim.ID()))
	stolen, err := victim.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	thief := &tls.Config{Certificates: []tls.Certificate{*stolen}, InsecureSkipVerify: true}
	open, err := tls.Dial("tcp", address, thief)
	if err == nil {
		_, err = io.WriteString(open, "?")
	}
	if err == nil {
		_, err = io.ReadFull(open, make([]byte, 1))
	}
	if err != nil {
		t.Fatalf("before the revocation: %v", err)
	}
	defer open.Close()

	admin.call(t, http.MethodPost, "/v1/revocations", map[string]string{"spiffe_id": victim.ID().String(), "reason": "key_compromise"}, nil)
	revoked := time.Now()
	const limit = 2 * time.Second
	if err := open.SetReadDeadline(revoked.Add(limit)); err != nil {
		t.Fatal(err)
	}
	_, err = io.ReadFull(open, make([]byte, 1))
	cut := time.Since(revoked)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("an open connection of a revoked peer is not cut within %s", limit)
	}
	refused := awaitRefusal(address, thief, revoked.Add(limit))
	if refused == 0 {
		t.Errorf("a new handshake with a revoked certificate is not refused within %s", limit)
	}
	d.note(t, fmt.Sprintf("a stolen certificate is revoked: its open connection is cut after %s, new handshakes are refused at the latest after %s",
		cut.Round(time.Millisecond), refused.Round(time.Millisecond)))
}

// serveTo answers each octet with one, for peers that are allowed, until the test ends.
func serveTo(t *testing.T, source *client.Source, authorize client.Authorizer) (address string) {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := source.Listener(inner, client.ListenerConfig{Authorize: authorize})
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn) // until either side ends it
			}()
		}
	}()
	return inner.Addr().String()
}

// awaitRefusal tries until a handshake is refused, and returns how long that took from now; 0 if
// it was not by the deadline.
func awaitRefusal(address string, cfg *tls.Config, deadline time.Time) time.Duration {
	began := time.Now()
	for time.Now().Before(deadline) {
		conn, err := tls.Dial("tcp", address, cfg)
		if err == nil {
			_, err = io.WriteString(conn, "?")
		}
		if err == nil {
			_, err = io.ReadFull(conn, make([]byte, 1))
		}
		if conn != nil {
			_ = conn.Close()
		}
		if err != nil {
			return time.Since(began)
		}
	}
	return 0
}

// replaceRoot taints the active root, waits until every certificate under it is replaced, and
// revokes it, while the workloads talk on.
func (d *rotating) replaceRoot(t *testing.T, admin *administrator) {
	t.Helper()
	root := d.active(t, admin, ca.RoleRoot)
	var outcome struct {
		Incident struct {
			ID    string
			Total int
			Rate  float64
		}
	}
	if status := admin.call(t, http.MethodPost, "/v1/authorities/"+root+"/taint", map[string]string{"reason": "e2e: the key was copied"}, &outcome); status != http.StatusOK {
		t.Fatalf("taint: status %d", status)
	}
	tainted := time.Now()
	d.note(t, fmt.Sprintf("root %s is tainted: %d certificates are replaced, at %.1f per second", root, outcome.Incident.Total, outcome.Incident.Rate))
	d.load.await(t, "has a certificate from after the taint", func(s client.Status) bool { return s.LastSuccess.After(tainted) })
	refusals := 0
	for admin.call(t, http.MethodPost, "/v1/authorities/"+root+"/revoke", map[string]string{"reason": "e2e: all is replaced"}, nil) == http.StatusConflict {
		refusals++
		if time.Since(tainted) > startLimit {
			t.Fatalf("after %s the root cannot be revoked", startLimit)
		}
		time.Sleep(100 * time.Millisecond)
	}
	d.note(t, fmt.Sprintf("root %s is revoked, %.1f s after the taint, and %d refusals while certificates depended on it", root, time.Since(tainted).Seconds(), refusals))
	d.load.awaitSources(t, "trusts the revoked root no more", func(s *client.Source) bool {
		return !slices.ContainsFunc(s.Roots(), func(c *x509.Certificate) bool { return ca.AuthorityID(c) == root })
	})
	d.tellRate(t, tainted)
}

// active is the ID of the authority that is active.
func (d *rotating) active(t *testing.T, admin *administrator, role ca.Role) string {
	t.Helper()
	var list struct {
		Authorities []struct{ ID, Role, State string }
	}
	admin.call(t, http.MethodGet, "/v1/authorities", nil, &list)
	for _, a := range list.Authorities {
		if a.Role == string(role) && a.State == string(ca.StateActive) {
			return a.ID
		}
	}
	t.Fatalf("there is no active %s", role)
	return ""
}

// tellRate logs how fast certificates were issued since a moment.
func (d *rotating) tellRate(t *testing.T, since time.Time) {
	t.Helper()
	db := openPostgres(t, d.url)
	perSecond := make(map[int64]int)
	total := 0
	filter := store.RecordFilter{Now: time.Now(), Limit: 1000}
	for {
		records, err := db.Records(context.Background(), filter)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			if r.IssuedAt.After(since) {
				perSecond[r.IssuedAt.Unix()]++
				total++
			}
		}
		if len(records) < filter.Limit {
			break
		}
		last := records[len(records)-1]
		filter.After = store.Cursor{NotAfter: last.NotAfter, Serial: last.Serial}
	}
	peak := 0
	for _, n := range perSecond {
		peak = max(peak, n)
	}
	t.Logf("%6.1fs  %d certificates were issued since the taint, at most %d in a second", d.load.elapsed(time.Now()), total, peak)
}
