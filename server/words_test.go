package server_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
)

// TestRefusalsSayWhatIsWrong reads the messages that once led people astray.
func TestRefusalsSayWhatIsWrong(t *testing.T) {
	f := newFixture(t)
	admin := administrator(policy.RoleAdmin)
	for name, c := range map[string]struct {
		ask       func() error
		want, not string
	}{
		"a duration of many days": {
			func() error {
				r := request(t, workload)
				r.Want.Duration = 1000 * 24 * time.Hour
				_, err := f.Issue(t.Context(), admin, r)
				return err
			}, "1000d exceeds the 1d of", "h0m",
		},
		"a serial number that is none": {
			func() error {
				_, err := f.Certificate(t.Context(), admin, "zz")
				return err
			}, "at most 38 hex digits", "00zz",
		},
		"a token for no entry": {
			func() error {
				_, err := f.CreateJoinToken(t.Context(), admin, "ent_none", 0)
				return err
			}, "no entry", "object",
		},
		"an entry without a DNS name": {
			func() error {
				_, err := f.CreateEntry(t.Context(), admin, policy.EntrySpec{SPIFFEID: workload, Method: policy.MethodJoinToken, Profile: "server"})
				return err
			}, "dns_names: profile", "dns_name:",
		},
		"a read while the database is away": {
			func() error { return fmt.Errorf("read: %w", store.ErrUnavailable) }, "database is not available", "record",
		},
	} {
		err := c.ask()
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		if said := server.AsError(err).Message; !strings.Contains(said, c.want) || strings.Contains(said, c.not) {
			t.Errorf("%s: %q, want %q and not %q", name, said, c.want, c.not)
		}
	}
}
