package rotation_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/pando-ca/pando/rotation"
	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/postgres"
	"github.com/pando-ca/pando/store/sqlite"
	"github.com/pando-ca/pando/store/storetest"
	"github.com/pando-ca/pando/store/storetest/pgtest"
)

// TestTwoSchedulersHaveOneEffect lets two processes, whose clocks are five minutes apart, do all
// upkeep at the same time, again and again: neither fails, and the outcome is that of one.
func TestTwoSchedulersHaveOneEffect(t *testing.T) {
	for name, open := range map[string]func(*testing.T) (a, b storetest.Store){
		"SQLite": func(t *testing.T) (a, b storetest.Store) {
			s, err := sqlite.OpenMemory(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			return s, s
		},
		"Postgres": func(t *testing.T) (a, b storetest.Store) {
			cfg := postgres.Config{URL: pgtest.New(t)}
			if err := postgres.Migrate(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			return openPostgres(t, cfg), openPostgres(t, cfg)
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := open(t)
			keepTogether(t, a, b)
		})
	}
}

func openPostgres(t *testing.T, cfg postgres.Config) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func keepTogether(t *testing.T, a, b storetest.Store) {
	const rounds, day = 5, 24 * time.Hour
	now := time.Now().UTC().Truncate(time.Microsecond)
	var old []store.Serial
	for n := range rounds {
		i := storetest.NewIssuance("spiffe://example.org/old", now.Add(-time.Duration(100+n)*day))
		insertOne(t, a, i)
		old = append(old, i.Serial)
	}
	live := storetest.NewIssuance("spiffe://example.org/live", now)
	insertOne(t, b, live)

	var wait sync.WaitGroup
	for s, clock := range map[storetest.Store]time.Time{a: now, b: now.Add(5 * time.Minute)} {
		for range 2 { // with one store for both, there are two all the same
			jobs, err := rotation.UpkeepJobs(rotation.UpkeepConfig{Store: s, Longest: 90 * day, Retention: 30 * day})
			if err != nil {
				t.Fatal(err)
			}
			wait.Go(func() {
				for range rounds {
					for _, job := range jobs {
						if err := job.Do(t.Context(), clock); err != nil {
							t.Errorf("%s: %v", job.Name, err)
						}
					}
				}
			})
		}
	}
	wait.Wait()

	for _, serial := range old {
		if _, err := a.Record(t.Context(), serial); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("an old record: %v", err)
		}
	}
	if _, err := a.Record(t.Context(), live.Serial); err != nil {
		t.Errorf("the live record: %v", err)
	}
	insertOne(t, a, storetest.NewIssuance("spiffe://example.org/next", now.Add(89*day)))
}

func insertOne(t *testing.T, s store.Inserter, i *store.Issuance) {
	t.Helper()
	errs, err := s.InsertBatch(t.Context(), []*store.Issuance{i}, i.IssuedAt)
	if err := errors.Join(append(errs, err)...); err != nil {
		t.Fatal(err)
	}
}
