package metrics_test

import (
	"crypto/x509"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/ca/mtls"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/server/auth"
	"github.com/pando-ca/pando/server/metrics"
)

// docs/metrics.md lists exactly the metrics that there are, with their labels.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(pando_[a-z_]+)` \\|").FindAllSubmatch(page, -1) {
		if !strings.HasPrefix(string(row[1]), "pando_client_") { // a test of client/prom compares those
			listed = append(listed, string(row[1]))
		}
	}
	slices.Sort(listed)

	m := metrics.New(metrics.Config{TrustDomain: "example.org"})
	authority := catest.New(t, catest.Options{})
	m.Watch(metrics.Sources{
		Trust: authority, Jobs: jobs{{Name: "prune", LastSuccess: time.Now()}}, Leader: leader(true), Fleet: watching(1), Roles: wholeRoles(), CRLs: lists{{}},
		Backup:    time.Now,
		Overrides: overrides{list: []mtls.Override{{Expires: time.Now()}}, known: true},
		Serving:   func() *x509.Certificate { return authority.Set().Issuer().Certificate() },
	})
	m.Door("rest").Request(server.OpSign, "workload", "ok", time.Millisecond, "")
	m.AuthnFailed(policy.MethodJWT, auth.ReasonUnavailable)
	m.Denied("workload", policy.RuleIdentity)
	there := slices.Sorted(maps.Keys(scrape(t, m).ours()))
	if diff := cmp.Diff(listed, there); diff != "" {
		t.Errorf("docs/metrics.md (-) and the registry (+) differ:\n%s", diff)
	}
}
