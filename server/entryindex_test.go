package server_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
)

// awayStore is a database that can be away.
type awayStore struct {
	server.EntryStore
	away *atomic.Bool
}

func (s awayStore) EntryVersion(ctx context.Context) (uint64, error) {
	if s.away.Load() {
		return 0, store.ErrUnavailable
	}
	return s.EntryStore.EntryVersion(ctx)
}

// An outage of hours must not fill the log, nor go unnoticed in it, nor seem to last.
func TestAnOutageIsLoggedNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		var log bytes.Buffer
		f := newFixture(t, func(c *server.Config) {
			c.Entries = awayStore{c.Entries, &away}
			c.Log = slog.New(slog.NewTextHandler(&log, nil))
		})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		logged := func(d time.Duration) (failed, again int) {
			time.Sleep(d)
			synctest.Wait() // the follower sleeps: nobody writes to log
			defer log.Reset()
			return strings.Count(log.String(), "entries not refreshed"), strings.Count(log.String(), "entries refreshed again")
		}
		for _, step := range []struct {
			what          string
			away          bool
			wait          time.Duration
			failed, again int
		}{
			{"before the outage", false, 10500 * time.Millisecond, 0, 0},
			{"in its first minute", true, 55 * time.Second, 1, 0},
			{"in its next ten", true, 10 * time.Minute, 10, 0},
			{"after it", false, 10 * time.Minute, 0, 1},
			{"in the next one", true, 5 * time.Second, 1, 0},
		} {
			away.Store(step.away)
			if failed, again := logged(step.wait); failed != step.failed || again != step.again {
				t.Errorf("%s: %d times failed and %d times back, want %d and %d", step.what, failed, again, step.failed, step.again)
			}
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
