package diagnosis

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/rotation"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
)

// broken is a database of which every question fails, or hangs.
type broken struct {
	err  error
	hang chan struct{} // nil: it does not
}

func (b broken) fail() error {
	if b.hang != nil {
		<-b.hang
	}
	return b.err
}

func (b broken) SchemaVersion(context.Context) (int64, error) { return 0, b.fail() }
func (b broken) PartitionsUntil(context.Context, time.Time) (time.Time, error) {
	return time.Time{}, b.fail()
}
func (b broken) LeaseStates(context.Context) ([]store.LeaseState, error) { return nil, b.fail() }
func (b broken) EntryUses(context.Context, store.EntryUseFilter) ([]store.EntryUse, error) {
	return nil, b.fail()
}
func (b broken) Milestone(context.Context, string) (time.Time, time.Duration, error) {
	return time.Time{}, 0, b.fail()
}
func (b broken) Now(context.Context) (time.Time, error)                { return time.Time{}, b.fail() }
func (b broken) Generation(context.Context) (*store.Generation, error) { return nil, b.fail() }
func (b broken) CRLs(context.Context) ([]store.CRL, error)             { return nil, b.fail() }
func (b broken) Replicas(context.Context) ([]store.Replica, error)     { return nil, b.fail() }
func (b broken) Entries(context.Context, store.EntryFilter) ([]store.Entry, error) {
	return nil, b.fail()
}

// nobody has counted the fleet, and runs no job.
type nobody struct{}

func (nobody) Figures() *server.Figures           { return nil }
func (nobody) Status(time.Time) []rotation.Status { return nil }

func newExaminer(t *testing.T, db Database) *Examiner {
	t.Helper()
	e, err := New(Config{
		Database: db, Fleet: nobody{}, Jobs: nobody{}, Policy: rotation.Policy{Skew: time.Minute},
		OpenKey:  func([]byte, ca.Role) (crypto.Signer, error) { return nil, errors.New("no key") },
		Settings: func() Settings { return Settings{DatabaseAt: DatabaseLocal, SealKey: SealKeyOwned} },
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// local are the checks that need neither the database nor the fleet.
func local() []string {
	return []string{"jobs", "listeners", "lifetimes", "administrators", "database_connection", "seal_key", "migrate"}
}

// TestWhatCannotBeLookedAtIsUnknown: and what the driver says stays where it is.
func TestWhatCannotBeLookedAtIsUnknown(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"the database is away": {fmt.Errorf("dial SECRET: %w", store.ErrUnavailable), "the database cannot be reached"},
		"something else":       {errors.New("SECRET"), "an internal error"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newExaminer(t, broken{err: test.err})
			found := e.Run(t.Context(), nil, noon)
			if len(found) != len(e.Names()) {
				t.Fatalf("%d checks, want %d", len(found), len(e.Names()))
			}
			for i, c := range found {
				if c.Name != e.Names()[i] {
					t.Errorf("check %d is %s, want %s", i, c.Name, e.Names()[i])
				}
				if strings.Contains(fmt.Sprint(c), "SECRET") {
					t.Errorf("%s tells what the driver says: %+v", c.Name, c)
				}
				want := test.want
				if c.Name == "identities" || c.Name == "incidents" {
					want = "the fleet was not counted lately"
				}
				switch known := slices.Contains(local(), c.Name); {
				case known && c.Level != server.LevelOK:
					t.Errorf("%+v, want it to be in order", c)
				case !known && (c.Level != server.LevelUnknown || !strings.Contains(c.Finding, want) || c.Advice == ""):
					t.Errorf("%+v, want it to be unknown: %s", c, want)
				}
			}
		})
	}
}

// TestWhatHangsIsUnknown: nobody waits for longer than the limit, all of them hang at once, and what
// hangs is not asked a second time beside itself.
func TestWhatHangsIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		e := newExaminer(t, broken{hang: hang, err: errors.New("late")})
		began := time.Now()
		names := []string{"schema", "backup", "seal_key"}
		found := e.Run(t.Context(), names, began)
		if took := time.Since(began); took != checkTimeout {
			t.Errorf("it took %s, want %s", took, checkTimeout)
		}
		for _, c := range found {
			if want := c.Name == "seal_key"; (c.Level == server.LevelOK) != want {
				t.Errorf("%+v", c)
			}
		}
		again := time.Now()
		for _, c := range e.Run(t.Context(), names[:2], again) {
			if !strings.Contains(c.Finding, "an earlier look has not come back yet") {
				t.Errorf("the second time: %+v", c)
			}
		}
		if took := time.Since(again); took != 0 {
			t.Errorf("the second time took %s", took)
		}
		close(hang)
		synctest.Wait()
		for _, c := range e.Run(t.Context(), names[:2], again) {
			if !strings.Contains(c.Finding, "an internal error") {
				t.Errorf("once it has come back: %+v", c)
			}
		}
	})
}

// TestAPanicIsUnknown: the server goes on, and so do the other checks.
func TestAPanicIsUnknown(t *testing.T) {
	e := newExaminer(t, broken{})
	e.add("odd", func(context.Context, time.Time) (verdict, error) { panic("SECRET") })
	for range 2 {
		found := e.Run(t.Context(), []string{"odd", "seal_key"}, noon)
		if found[0].Level != server.LevelOK || found[1].Level != server.LevelUnknown || strings.Contains(fmt.Sprint(found), "SECRET") {
			t.Errorf("%+v", found)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("an examiner of nothing is made")
	}
}
