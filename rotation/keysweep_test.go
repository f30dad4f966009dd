package rotation

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/sqlite"
)

// token is a set of keys, of which one may resist.
type token struct {
	keys   map[string]bool
	resist string
	asked  []string
}

func (k *token) destroy(ref []byte) error {
	k.asked = append(k.asked, string(ref))
	if string(ref) == k.resist {
		return errors.New("the token is away")
	}
	delete(k.keys, string(ref))
	return nil
}

func TestKeySweep(t *testing.T) {
	ctx := t.Context()
	db, err := sqlite.OpenMemory(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	now := time.Date(2031, 3, 5, 12, 0, 0, 0, time.UTC)
	k := &token{keys: make(map[string]bool)}
	job, err := KeySweepJob(KeySweepConfig{Store: db, Destroy: k.destroy})
	if err != nil {
		t.Fatal(err)
	}
	add := func(name string, at time.Time) []byte {
		ref := []byte(store.TokenKeyPrefix + name)
		if err := db.AddKeyIntent(ctx, ref, at); err != nil {
			t.Fatal(err)
		}
		k.keys[string(ref)] = true
		return ref
	}
	left, held, fresh := add("left", now.Add(-intentGrace-1)), add("held", now.Add(-24*time.Hour)), add("fresh", now.Add(-intentGrace))
	add("left too", now.Add(-2*intentGrace))
	first := store.Generation{Number: 1, TrustDomain: "example.org", PublishedAt: now, Authorities: []store.Authority{
		{ID: "i", Role: "intermediate", State: "retiring", Certificate: []byte{1}, Key: held, StateSince: now},
	}}
	if err := db.ReplaceGeneration(ctx, 0, first, store.Fence{}); err != nil {
		t.Fatal(err)
	}
	want := func(what string, refs ...[]byte) {
		t.Helper()
		for _, ref := range refs {
			if !k.keys[string(ref)] {
				t.Errorf("%s: %s is destroyed", what, ref)
			}
		}
		if len(k.keys) != len(refs) {
			t.Errorf("%s: %d keys, want %d", what, len(k.keys), len(refs))
		}
	}

	k.resist = string(left)
	if err := job.Do(ctx, now); err == nil || !strings.Contains(err.Error(), "the token is away") {
		t.Errorf("while a key resists: %v", err)
	}
	want("while one resists", left, held, fresh)
	k.resist = ""
	if err := job.Do(ctx, now); err != nil {
		t.Fatal(err)
	}
	want("afterwards", held, fresh)

	second := first
	second.Number = 2
	second.Authorities = slices.Clone(first.Authorities)
	second.Authorities[0].State, second.Authorities[0].Key = "retired", nil
	if err := db.ReplaceGeneration(ctx, 1, second, store.Fence{}); err != nil {
		t.Fatal(err)
	}
	want("before the sweep", held, fresh)
	if err := job.Do(ctx, now); err != nil {
		t.Fatal(err)
	}
	want("once its authority has retired", fresh)
	asked := len(k.asked)
	if err := job.Do(ctx, now); err != nil || len(k.asked) != asked {
		t.Errorf("a sweep with nothing to do: %v, %d keys destroyed", err, len(k.asked)-asked)
	}
}
