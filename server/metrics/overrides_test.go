package metrics_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca/mtls"
	"github.com/pando-ca/pando/server/metrics"
)

// overrides are in force.
type overrides struct {
	list  []mtls.Override
	known bool
}

func (o overrides) MTLSOverridesInForce() ([]mtls.Override, bool) { return o.list, o.known }

// TestOverrides: a series is there once its value is.
func TestOverrides(t *testing.T) {
	const count, expires = "pando_mtls_overrides", "pando_mtls_override_expires_timestamp_seconds"
	at := time.Unix(2_000_000_000, 500_000_000)
	for name, c := range map[string]struct {
		overrides overrides
		want      map[string]float64
	}{
		"not read yet": {overrides{}, map[string]float64{}},
		"none":         {overrides{known: true}, map[string]float64{count: 0}},
		"two": {
			overrides{[]mtls.Override{{Expires: at}, {Expires: at.Add(-time.Hour)}}, true},
			map[string]float64{count: 2, expires: 2_000_000_000.5},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := metrics.New(metrics.Config{})
			m.Watch(metrics.Sources{Overrides: c.overrides})
			there := scrape(t, m)
			var names []string
			for _, n := range slices.Sorted(maps.Keys(there.ours())) {
				if strings.Contains(n, "mtls") {
					names = append(names, n)
				}
			}
			if diff := cmp.Diff(slices.Sorted(maps.Keys(c.want)), names); diff != "" {
				t.Fatalf("series (-want +got):\n%s", diff)
			}
			for n, want := range c.want {
				if got := there[n].GetMetric()[0].GetGauge().GetValue(); got != want {
					t.Errorf("%s is %v, want %v", n, got, want)
				}
			}
		})
	}
}
