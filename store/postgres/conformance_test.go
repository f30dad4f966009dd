package postgres_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/pando-ca/pando/store/postgres"
	"github.com/pando-ca/pando/store/storetest"
	"github.com/pando-ca/pando/store/storetest/pgtest"
)

func TestConformance(t *testing.T) {
	pgtest.New(t) // so that the goroutine of the server is there already
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	storetest.RunReplicas(t, func(t *testing.T) (storetest.Store, storetest.Store) {
		url := migrated(t)
		return open(t, url), open(t, url)
	})
}

// migrated makes a database with the current schema.
func migrated(t testing.TB) string {
	t.Helper()
	url := pgtest.New(t)
	if err := postgres.Migrate(t.Context(), postgres.Config{URL: url}); err != nil {
		t.Fatal(err)
	}
	return url
}

// open opens a store that is closed when the test ends.
func open(t testing.TB, url string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), postgres.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}
