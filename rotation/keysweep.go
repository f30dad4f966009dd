package rotation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pando-ca/pando/store"
)

// JobKeys is the name of the job that destroys keys in tokens which nobody holds.
const JobKeys = "keys"

const (
	// intentGrace is how long a key may exist before a generation or a request holds it. Every
	// use case that makes one is over in minutes, or will never write; one that still does is
	// refused. See [store.KeyIntents].
	intentGrace = time.Hour

	defaultKeys = "@every 1m"
)

// KeySweepConfig says which keys are destroyed where.
type KeySweepConfig struct {
	Store store.KeyIntents // required
	// Destroy deletes a key from its token; it is idempotent. Required.
	Destroy  func(ref []byte) error
	Schedule string // empty means every minute
}

// KeySweepJob returns [JobKeys]. It destroys what retired authorities have left, and what a
// process left that died between making a key and writing the authority. If it dies itself
// between destroying a key and forgetting it, the next run destroys it once more.
func KeySweepJob(cfg KeySweepConfig) (Job, error) {
	if cfg.Store == nil || cfg.Destroy == nil {
		return Job{}, errors.New("key sweep: store or destroy are missing")
	}
	if cfg.Schedule == "" {
		cfg.Schedule = defaultKeys
	}
	return Job{Name: JobKeys, Schedule: cfg.Schedule, Do: cfg.sweep}, nil
}

func (c KeySweepConfig) sweep(ctx context.Context, now time.Time) error {
	refs, err := c.Store.DoomKeyIntents(ctx, now.Add(-intentGrace))
	if err != nil {
		return fmt.Errorf("key sweep: %w", err)
	}
	var failed []error
	for _, ref := range refs {
		err := c.Destroy(ref)
		if err == nil {
			err = c.Store.DropKeyIntent(ctx, ref)
		}
		if err != nil { // one that resists must not keep the others
			failed = append(failed, fmt.Errorf("key sweep: %s: %w", ref, err))
		}
	}
	return errors.Join(failed...)
}
