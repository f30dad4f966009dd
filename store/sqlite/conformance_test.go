package sqlite_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/pando-ca/pando/store/sqlite"
	"github.com/pando-ca/pando/store/storetest"
)

func TestConformanceInADirectory(t *testing.T) {
	defer goleak.VerifyNone(t)
	storetest.Run(t, func(t *testing.T) storetest.Store {
		cfg := sqlite.Config{Dir: t.TempDir()}
		migrate(t, cfg)
		return open(t, cfg)
	})
}

func TestConformanceInMemory(t *testing.T) {
	defer goleak.VerifyNone(t)
	storetest.Run(t, func(t *testing.T) storetest.Store {
		s, err := sqlite.OpenMemory(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
		return s
	})
}

func migrate(t testing.TB, cfg sqlite.Config) {
	t.Helper()
	if err := sqlite.Migrate(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, cfg sqlite.Config) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), cfg)
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
