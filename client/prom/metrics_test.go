package prom_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/pando-ca/pando/client"
	"github.com/pando-ca/pando/client/clienttest"
	"github.com/pando-ca/pando/client/prom"
)

// seriesBudget is the most series that an ordinary program may have: one listener in the middle of
// its migration, one dialer, some failures, and no emergency.
const seriesBudget = 30

// families is one scrape, by name.
type families map[string]*dto.MetricFamily

func scrape(t *testing.T, m *prom.Metrics) families {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m)
	gathered, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := make(families)
	for _, family := range gathered {
		found[family.GetName()] = family
	}
	return found
}

// values is all series, by name and labels: a value, or the count of a histogram.
func (f families) values() map[string]float64 {
	values := make(map[string]float64)
	for name, family := range f {
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			key := strings.TrimPrefix(name, "pando_client_")
			if len(labels) > 0 {
				key += "{" + strings.Join(labels, ",") + "}"
			}
			values[key] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return values
}

// series is how many lines a scrape has that are neither comments nor empty.
func (f families) series(t *testing.T) int {
	t.Helper()
	var text bytes.Buffer
	for _, family := range f {
		if _, err := expfmt.MetricFamilyToText(&text, family); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for line := range strings.Lines(text.String()) {
		if !strings.HasPrefix(line, "#") && strings.TrimSpace(line) != "" {
			n++
		}
	}
	return n
}

// fixed is a Source that does not change.
type fixed struct {
	status    client.Status
	listeners []client.ListenerStatus
}

func (f fixed) Status() client.Status              { return f.status }
func (f fixed) Listeners() []client.ListenerStatus { return f.listeners }

var at = time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)

// ordinary is the state of an ordinary program.
func ordinary() fixed {
	return fixed{
		client.Status{
			NotBefore: at, NotAfter: at.Add(time.Hour), RenewalDue: at.Add(30 * time.Minute), BundleSequence: 7, BundleUpdated: at.Add(1500 * time.Millisecond),
		},
		[]client.ListenerStatus{{Name: "default", Mode: client.ModePermissive, LastPlaintext: at.Add(time.Minute), OverrideExpires: at.Add(time.Hour)}},
	}
}

// happen is what happens in it.
func happen(m *prom.Metrics) {
	m.Renewal(nil)
	m.Renewal(errors.New("no answer"))
	m.Renewal(errors.New("no answer"))
	for _, side := range []client.Side{client.SideServer, client.SideClient} {
		m.Handshake(client.Handshake{Side: side, Duration: 2 * time.Millisecond})
		m.Handshake(client.Handshake{Side: side, Duration: 2 * time.Second})
		m.Handshake(client.Handshake{Side: side})
	}
	m.Handshake(client.Handshake{Side: client.SideServer, Reason: client.ReasonEOF, Duration: time.Second})
	m.Handshake(client.Handshake{Side: client.SideClient, Reason: client.ReasonUnknownAuthority})
	m.Connection(client.Connection{Side: client.SideServer, Name: "default", Mode: client.ModePermissive, Security: client.SecurityMTLS})
	m.Connection(client.Connection{Side: client.SideServer, Name: "default", Mode: client.ModePermissive, Security: client.SecurityPlaintext})
	m.Connection(client.Connection{Side: client.SideServer, Name: "default", Mode: client.ModePermissive, Rejected: client.RejectedHandshake})
	m.Connection(client.Connection{Side: client.SideClient, Name: "default", Mode: client.ModeMutual, Security: client.SecurityMTLS})
	m.Connection(client.Connection{Side: client.SideClient, Name: "default", Mode: client.ModeMutual, Rejected: client.RejectedHandshake})
}

func TestAnOrdinaryProgram(t *testing.T) {
	m := prom.New()
	happen(m)
	m.Watch(ordinary())
	got := scrape(t, m)
	want := map[string]float64{
		"certificate_not_before_timestamp_seconds": 1772323200, "certificate_not_after_timestamp_seconds": 1772326800,
		"renewal_due_timestamp_seconds": 1772325000, "bundle_sequence": 7, "bundle_updated_timestamp_seconds": 1772323201.5,
		`renewals_total{result="success"}`: 1, `renewals_total{result="failure"}`: 2, "renewal_consecutive_failures": 2,
		`tls_handshakes_total{reason="none",result="success",side="server"}`: 3, `tls_handshakes_total{reason="none",result="success",side="client"}`: 3,
		`tls_handshakes_total{reason="eof",result="failure",side="server"}`:               1,
		`tls_handshakes_total{reason="unknown_authority",result="failure",side="client"}`: 1,
		`tls_handshake_duration_seconds{side="server"}`:                                   2, `tls_handshake_duration_seconds{side="client"}`: 2,
		`connections_accepted_total{listener="default",security="mtls"}`:      1,
		`connections_accepted_total{listener="default",security="plaintext"}`: 1,
		`connections_rejected_total{listener="default",reason="handshake"}`:   1,
		`connections_dialed_total{mode="mutual",security="mtls"}`:             1,
		`mode{listener="default",mode="permissive"}`:                          1,
		`plaintext_last_seen_timestamp_seconds{listener="default"}`:           1772323260, `mode_override_expires_timestamp_seconds{listener="default"}`: 1772326800,
	}
	if diff := cmp.Diff(want, got.values()); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
	usual := ordinary()
	usual.listeners[0].OverrideExpires = time.Time{}
	m.Watch(usual)
	if n := scrape(t, m).series(t); n > seriesBudget {
		t.Errorf("%d series, the budget is %d", n, seriesBudget)
	}
}

func TestNothingIsThereBeforeItsValueIs(t *testing.T) {
	m := prom.New()
	fresh := map[string]float64{`renewals_total{result="success"}`: 0, `renewals_total{result="failure"}`: 0, "renewal_consecutive_failures": 0}
	if diff := cmp.Diff(fresh, scrape(t, m).values()); diff != "" {
		t.Errorf("before there is a Source (-want +got):\n%s", diff)
	}
	m.Watch(fixed{listeners: []client.ListenerStatus{{Name: "default", Mode: client.ModeStrict}}})
	fresh[`mode{listener="default",mode="strict"}`] = 1
	if diff := cmp.Diff(fresh, scrape(t, m).values()); diff != "" {
		t.Errorf("before the Source knows anything (-want +got):\n%s", diff)
	}
	m.Renewal(errors.New("no answer"))
	m.Renewal(nil)
	if n := scrape(t, m).values()["renewal_consecutive_failures"]; n != 0 {
		t.Errorf("%v failures in a row after a success", n)
	}
	m.Watch(ordinary())
	if got := scrape(t, m).values(); got["bundle_sequence"] != 7 {
		t.Errorf("another Source is not watched: %v", got)
	}
}

func TestLabelsAreOfClosedSets(t *testing.T) {
	m := prom.New()
	m.Handshake(client.Handshake{Side: "inside", Reason: "the moon"})
	m.Connection(client.Connection{Side: client.SideServer, Name: "a", Rejected: "the moon"})
	m.Connection(client.Connection{Side: client.SideServer, Name: "a", Security: "the moon"})
	m.Connection(client.Connection{Side: client.SideClient, Mode: "the moon", Security: "the moon"})
	var crowd fixed
	for i := range 1000 {
		name := fmt.Sprintf("listener-%d", i)
		m.Connection(client.Connection{Side: client.SideServer, Name: name, Security: client.SecurityMTLS})
		crowd.listeners = append(crowd.listeners, client.ListenerStatus{Name: name, Mode: client.ModeStrict})
	}
	m.Watch(crowd)
	got := scrape(t, m)
	for _, want := range []string{
		`tls_handshakes_total{reason="other",result="failure",side="other"}`, `connections_rejected_total{listener="a",reason="other"}`,
		`connections_accepted_total{listener="a",security="other"}`, `connections_dialed_total{mode="other",security="other"}`,
	} {
		if got.values()[want] != 1 {
			t.Errorf("no series %s", want)
		}
	}
	if n := got.values()[`connections_accepted_total{listener="other",security="mtls"}`]; n != 1000-63 {
		t.Errorf("%v connections of listeners too many", n)
	}
	if n := got.series(t); n > 150 {
		t.Errorf("%d series", n)
	}
}

// TestNames holds the names against those that are promised, what Prometheus asks of names, and
// the page.
func TestNames(t *testing.T) {
	m := prom.New()
	happen(m)
	m.Watch(ordinary())
	got := scrape(t, m)
	problems, err := promlint.NewWithMetricFamilies(slices.Collect(maps.Values(got))).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
	there := make(map[string][]string) // name to labels
	for name, family := range got {
		labels := []string{}
		for _, l := range family.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		there[name] = slices.Sorted(slices.Values(labels))
	}
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := make(map[string][]string)
	for _, row := range regexp.MustCompile("(?m)^\\| `(pando_client_[a-z_]+)` \\|([^|]*)\\|").FindAllSubmatch(page, -1) {
		labels := []string{}
		for _, label := range regexp.MustCompile("`([a-z]+)`").FindAllSubmatch(row[2], -1) {
			labels = append(labels, string(label[1]))
		}
		listed[string(row[1])] = slices.Sorted(slices.Values(labels))
	}
	if diff := cmp.Diff(listed, there); diff != "" {
		t.Errorf("docs/metrics.md (-) and the collector (+) differ:\n%s", diff)
	}
}

// TestASourceIsCounted has a real Source tell.
func TestASourceIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := clienttest.New(t, clienttest.Options{})
		m := prom.New()
		cfg := ca.Config("spiffe://example.org/web")
		cfg.Metrics = m
		source, err := client.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer source.Close()
		m.Watch(source)
		connect(t, ca, source)
		got := scrape(t, m)
		for want, n := range map[string]float64{
			`connections_accepted_total{listener="api",security="mtls"}`: 1, `connections_dialed_total{mode="mutual",security="mtls"}`: 1,
			`connections_accepted_total{listener="api",security="plaintext"}`:    1,
			`tls_handshakes_total{reason="none",result="success",side="client"}`: 1, `tls_handshakes_total{reason="none",result="success",side="server"}`: 1,
			`mode{listener="api",mode="permissive"}`: 1, `plaintext_last_seen_timestamp_seconds{listener="api"}`: float64(time.Now().Unix()),
			`tls_handshake_duration_seconds{side="server"}`: 0, // the clock stands still
		} {
			if got.values()[want] != n {
				t.Errorf("%s: %v, want %v", want, got.values()[want], n)
			}
		}
		ca.Expire(source)
		st, left := source.Status(), scrape(t, m).values()
		if left["certificate_not_after_timestamp_seconds"] != float64(st.NotAfter.Unix()) || left[`renewals_total{result="success"}`] != 1 {
			t.Errorf("series: %v", left)
		}
		if n := left["renewal_consecutive_failures"]; n < 2 || n != left[`renewals_total{result="failure"}`] {
			t.Errorf("%v failures in a row", n)
		}
	})
}

// connect makes a connection in mutual TLS to a listener of a Source, and one in plaintext.
func connect(t *testing.T, ca *clienttest.CA, source *client.Source) {
	t.Helper()
	inner, err := ca.Network().Listen("web.test:443")
	if err != nil {
		t.Fatal(err)
	}
	self := client.AuthorizeID(source.ID())
	listener := source.Listener(inner, client.ListenerConfig{Name: "api", Mode: client.ModePermissive, Authorize: self})
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			io.Copy(conn, conn)
			conn.Close()
		}
	}()
	dialer := source.Dialer(client.DialerConfig{Authorize: self, DialContext: ca.Network().DialContext})
	for _, dial := range []func(context.Context, string, string) (net.Conn, error){dialer.DialContext, ca.Network().DialContext} {
		conn, err := dial(t.Context(), "tcp", "web.test:443")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(conn, "an echo")
		if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
			t.Error(err)
		}
		conn.Close()
	}
	synctest.Wait()
}

func TestTellingIsCheap(t *testing.T) {
	m := prom.New()
	happen(m)
	if n := testing.AllocsPerRun(100, func() { happen(m) }); n > 40 { // 13 events
		t.Errorf("%v allocations", n)
	}
}
