package server_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pando-ca/pando/server"
)

// TestNewListenersAreCountedToo: one instance that names other listeners in each report makes as
// many rows as many instances. What it has reported on before, it goes on to report on.
func TestNewListenersAreCountedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		limited := &full{MTLSStore: f.store, room: 1}
		r := f.replica(t, func(cfg *server.Config) { cfg.MTLS = limited })
		defer r.run(t)()
		caller := f.programOf(t, workload)
		for _, step := range []struct{ names, want string }{
			{"a b", ""}, {"b a", ""}, {"a c", "rate_limited"}, {"a b", ""},
		} {
			report := server.MTLSReport{Instance: instance}
			for _, name := range strings.Fields(step.names) {
				l := listener(time.Now())
				l.Name = name
				report.Listeners = append(report.Listeners, l)
			}
			if err := r.ReportMTLS(t.Context(), caller, report); code(err) != step.want {
				t.Errorf("listeners %s give %v, want %q", step.names, err, step.want)
			}
		}
		if limited.asked != 2 {
			t.Errorf("the database was asked %d times", limited.asked)
		}
	})
}
