package metrics

import (
	"maps"
	"sync"
	"sync/atomic"
)

// children remembers the collectors of label values, since to find one through the Prometheus
// client costs more than to count. Reading takes no lock; making a new one copies the map,
// which stays small because every key is from a closed set. The zero value is not usable.
type children[K comparable, C any] struct {
	make func(K) C

	writing sync.Mutex // held while a child is added
	known   atomic.Pointer[map[K]C]
}

func newChildren[K comparable, C any](make func(K) C) *children[K, C] {
	c := &children[K, C]{make: make}
	c.known.Store(&map[K]C{})
	return c
}

// of returns the collector of a key.
func (c *children[K, C]) of(key K) C {
	if child, ok := (*c.known.Load())[key]; ok {
		return child
	}
	return c.add(key)
}

func (c *children[K, C]) add(key K) C {
	c.writing.Lock()
	defer c.writing.Unlock()
	if child, ok := (*c.known.Load())[key]; ok {
		return child
	}
	child := c.make(key)
	next := maps.Clone(*c.known.Load())
	next[key] = child
	c.known.Store(&next)
	return child
}
