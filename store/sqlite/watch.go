package sqlite

import (
	"context"
	"sync"
)

// Watch is told by the methods that change something, since no other process does; see
// [store.Watcher]. It calls changed as it begins, since what changed before was not heard.
func (s *Store) Watch(ctx context.Context, changed func()) error {
	told := s.watchers.add()
	defer s.watchers.remove(told)
	changed()
	for {
		select {
		case <-told:
			changed()
		case <-ctx.Done():
			return nil
		}
	}
}

// announced tells those who watch, unless err says that nothing was changed. It returns err.
func (s *Store) announced(err error) error {
	if err == nil {
		s.watchers.tell()
	}
	return err
}

// watchers are those who watch a Store. The zero value has none.
type watchers struct {
	mu  sync.Mutex
	all map[chan struct{}]bool // each holds one: several changes may be told as one
}

func (w *watchers) add() chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all == nil {
		w.all = make(map[chan struct{}]bool)
	}
	told := make(chan struct{}, 1)
	w.all[told] = true
	return told
}

func (w *watchers) remove(told chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.all, told)
}

func (w *watchers) tell() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for told := range w.all {
		select {
		case told <- struct{}{}:
		default: // it has not looked yet
		}
	}
}
