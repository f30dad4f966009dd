package metrics_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/server/metrics"
	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/sqlite"
)

// fleet is figures that never change.
type fleet struct{ figures server.Figures }

func (f fleet) Figures() *server.Figures { return &f.figures }

// unknownFleet is one that nobody has counted, or not of late.
type unknownFleet struct{}

func (unknownFleet) Figures() *server.Figures { return nil }

func TestFiguresAreShown(t *testing.T) {
	first := time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)
	m := metrics.New(metrics.Config{})
	m.Watch(metrics.Sources{Fleet: fleet{server.Figures{
		Identities: []server.IdentityCount{
			{Profile: "workload", State: server.IdentityLive, Count: 7}, {Profile: "workload", State: server.IdentityOverdue},
			{Profile: "once", State: server.IdentityLive, Count: 2}, {Profile: "of old", State: server.IdentityLive, Count: 3},
		},
		Live: []store.LiveCount{
			{Profile: "workload", Issuer: "i1", Certificates: 9}, {Profile: "workload", Issuer: "i2", Certificates: 1},
			{Profile: "once", Issuer: "i1", Certificates: 2}, {Profile: "of old", Issuer: "i1", Certificates: 4},
		},
		Earliest: []server.EarliestEnd{
			{Profile: "workload", NotAfter: first}, {Profile: "once", NotAfter: first.Add(time.Hour)}, {Profile: "of old", NotAfter: first},
		},
		Remaining: [server.RemainingSteps]int{0: 1, 4: 10, 9: 1}, RemainingSum: 6.5,
	}}})
	got := scrape(t, m)
	got.check(t, "pando_identities", map[string]float64{
		"profile=workload state=live": 7, "profile=workload state=overdue": 0, "profile=other state=live": 5,
	})
	got.check(t, "pando_live_certificates", map[string]float64{
		"authority=i1 profile=workload": 9, "authority=i2 profile=workload": 1, "authority=i1 profile=other": 6,
	})
	got.check(t, "pando_earliest_not_after_timestamp_seconds", map[string]float64{
		"profile=workload": float64(first.Unix()), "profile=other": float64(first.Unix()),
	})
	histogram := got["pando_identity_remaining_lifetime_ratio"].GetMetric()[0].GetHistogram()
	below := make(map[float64]uint64)
	for _, b := range histogram.GetBucket() {
		below[b.GetUpperBound()] = b.GetCumulativeCount()
	}
	if histogram.GetSampleCount() != 12 || histogram.GetSampleSum() != 6.5 || below[0.1] != 1 || below[0.4] != 1 || below[0.5] != 11 || below[1] != 12 {
		t.Errorf("remaining lifetimes: %v", histogram)
	}
}

// watching is a whole fleet, of which so many identities are watched.
func watching(n int) fleet {
	f := wholeFleet()
	for i := range n {
		f.figures.Watched = append(f.figures.Watched, server.WatchedCertificate{SPIFFEID: fmt.Sprintf("spiffe://example.org/w%d", i)})
	}
	return f
}

// TestWatchedHaveTwoSeriesEach: the budget is without them, since their number is chosen by people and
// bounded, and does not follow from that of the workloads.
func TestWatchedHaveTwoSeriesEach(t *testing.T) {
	series := make(map[int]int)
	for _, n := range []int{0, server.MaxWatched} {
		m := metrics.New(metrics.Config{})
		m.Watch(metrics.Sources{Fleet: watching(n)})
		series[n] = scrape(t, m).series()
	}
	if more := series[server.MaxWatched] - series[0]; more != 2*server.MaxWatched {
		t.Errorf("%d watched identities make %d series, want two each", server.MaxWatched, more)
	}
}

func TestSpreadIsShown(t *testing.T) {
	at := time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)
	unix := float64(at.Unix())
	m := metrics.New(metrics.Config{})
	m.Watch(metrics.Sources{Fleet: fleet{server.Figures{
		Sequence:  7,
		Facts:     &store.Facts{Followers: map[uint64]int{3: 1, 5: 20, 6: 300, 7: 4000, 8: 50000}},
		Watched:   []server.WatchedCertificate{{SPIFFEID: "spiffe://example.org/gateway", NotBefore: at, NotAfter: at.Add(time.Hour)}},
		Incidents: []server.IncidentCount{{ID: "JBSWY3DPEHPK3PXP", Left: 17, Deadline: at.Add(time.Minute)}},
	}}})
	got := scrape(t, m)
	got.check(t, "pando_bundle_acked_identities", map[string]float64{"sequence=current": 54000, "sequence=previous": 300, "sequence=older": 21})
	got.check(t, "pando_certificate_not_before_timestamp_seconds", map[string]float64{"spiffe_id=spiffe://example.org/gateway": unix})
	got.check(t, "pando_certificate_not_after_timestamp_seconds", map[string]float64{"spiffe_id=spiffe://example.org/gateway": unix + 3600})
	got.check(t, "pando_incident_remaining", map[string]float64{"incident=JBSWY3DPEHPK3PXP": 17})
	got.check(t, "pando_incident_deadline_timestamp_seconds", map[string]float64{"incident=JBSWY3DPEHPK3PXP": unix + 60})
}

// TestFiguresWithoutFacts are those of a replica that is older: what it did not count is not there.
func TestFiguresWithoutFacts(t *testing.T) {
	m := metrics.New(metrics.Config{})
	m.Watch(metrics.Sources{Fleet: fleet{}})
	for _, name := range []string{
		"pando_bundle_acked_identities", "pando_certificate_not_after_timestamp_seconds", "pando_incident_remaining",
	} {
		if got := scrape(t, m)[name]; got != nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestUnknownFiguresAreNotShown(t *testing.T) {
	m := metrics.New(metrics.Config{})
	m.Watch(metrics.Sources{Fleet: unknownFleet{}})
	for _, name := range []string{"pando_identities", "pando_live_certificates", "pando_identity_remaining_lifetime_ratio", "pando_bundle_acked_identities"} {
		if got := scrape(t, m)[name]; got != nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// crowd is a fleet of very many identities of every profile, age and issuer. The rows are made up;
// how a database counts them is what the stores' own tests say.
type crowd struct {
	*sqlite.Store
	size int
	now  time.Time
}

func (c crowd) Identities(_ context.Context, f store.IdentityFilter) ([]store.Identity, error) {
	first := 0
	if f.After != "" {
		if _, err := fmt.Sscanf(f.After, "spiffe://example.org/w%d", &first); err != nil {
			return nil, err
		}
	}
	var page []store.Identity
	for n := first + 1; n <= c.size && len(page) < f.Limit; n++ {
		notAfter := c.now.Add(time.Duration(n%80-20) * time.Minute)
		page = append(page, store.Identity{
			SPIFFEID: fmt.Sprintf("spiffe://example.org/w%07d", n), Serial: store.Serial{1, 2, 3}, Profile: fmt.Sprintf("p%d", n%5000),
			Issuer: "i1", NotBefore: notAfter.Add(-time.Hour), NotAfter: notAfter, Revoked: n%50 == 0,
		})
	}
	return page, nil
}

// TestSeriesDoNotGrowWithTheFleet counts 100 000 identities, and as many of unknown profiles.
func TestSeriesDoNotGrowWithTheFleet(t *testing.T) {
	db, err := sqlite.OpenMemory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	batcher, err := store.NewBatcher(store.BatcherConfig{Inserter: db})
	if err != nil {
		t.Fatal(err)
	}
	defer batcher.Close()
	series := make(map[int]int)
	for _, size := range []int{1, 1000, 100_000} {
		service, err := server.New(server.Config{
			Set: catest.New(t, catest.Options{}).Set(), Issuances: batcher, Records: db, Entries: db, Tokens: db, Revocations: db,
			Fleet: crowd{db, size, time.Now()},
		})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := service.RefreshFigures(t.Context(), store.Fence{}, time.Now()); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d identities: counted in %s", size, time.Since(began))
		m := metrics.New(metrics.Config{})
		m.Watch(metrics.Sources{Fleet: service})
		series[size] = scrape(t, m).series()
	}
	if diff := cmp.Diff(series[1000], series[100_000]); diff != "" || series[100_000] > seriesBudget {
		t.Errorf("series by identities: %v, the budget is %d", series, seriesBudget)
	}
}
