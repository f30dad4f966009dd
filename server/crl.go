package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/pando-ca/pando/store"
)

const (
	// crlFresh is how long a list is served without asking whether there is a newer one.
	crlFresh = time.Second
	// crlTimeout bounds that question, which is not the business of one request alone.
	crlTimeout = 5 * time.Second
)

// CRLs is where published lists are read from; the stores are.
type CRLs interface {
	CRL(ctx context.Context, authority string, shard int) (*store.CRL, error)
	CRLNumber(ctx context.Context, authority string, shard int) (uint64, error)
}

// CRL is a published certificate revocation list. It is shared: do not change it.
type CRL struct {
	DER        []byte
	ETag       string // quoted
	NextUpdate time.Time

	number uint64
}

// CRL returns the list of a shard of an authority of the current generation, from memory: the
// database is asked once a second for each list that anybody asks for, however many do. While it
// cannot be reached, the last list is returned until its NextUpdate has passed.
func (s *Service) CRL(ctx context.Context, authority string, shard int) (*CRL, error) {
	shelf := s.trust.Load().crls[authority]
	if s.crls == nil || shard < 0 || shard >= len(shelf) {
		return nil, notFound("there is no such CRL")
	}
	list, err := shelf[shard].get(ctx, s.crls)
	if errors.Is(err, store.ErrNotFound) {
		return nil, notFound("this CRL is not published yet")
	}
	if err != nil {
		return nil, fmt.Errorf("CRL %d of authority %s: %w", shard, authority, err)
	}
	return list, nil
}

// crlSlot is the place of one list in memory.
type crlSlot struct {
	authority string
	shard     int
	turn      chan struct{} // holds one value while nobody asks the database
	seen      atomic.Pointer[crlLook]
}

// crlLook is what a look at the database has found. Immutable.
type crlLook struct {
	at   time.Time
	list *CRL // nil when there is none
	err  error
}

// newShelf makes the places of all shards of an authority.
func newShelf(authority string, shards int) []*crlSlot {
	shelf := make([]*crlSlot, shards)
	for shard := range shelf {
		shelf[shard] = &crlSlot{authority: authority, shard: shard, turn: make(chan struct{}, 1)}
		shelf[shard].turn <- struct{}{}
	}
	return shelf
}

// get returns what is in memory if it is fresh, or else looks, one caller for all.
func (c *crlSlot) get(ctx context.Context, from CRLs) (*CRL, error) {
	seen := c.seen.Load()
	if seen == nil || time.Since(seen.at) >= crlFresh {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-c.turn:
		}
		if seen = c.seen.Load(); seen == nil || time.Since(seen.at) >= crlFresh { // nobody looked meanwhile
			seen = c.look(ctx, from, seen)
			c.seen.Store(seen)
		}
		c.turn <- struct{}{}
	}
	return seen.list, seen.err
}

// look asks the database. Others wait for the answer, so that a caller who leaves does not end
// it. What it fails with is an answer too: the next one asks a second later.
func (c *crlSlot) look(ctx context.Context, from CRLs, before *crlLook) *crlLook {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), crlTimeout)
	defer cancel()
	var old *CRL
	if before != nil {
		old = before.list
	}
	list, err := c.read(ctx, from, old)
	now := time.Now()
	if err != nil && !errors.Is(err, store.ErrNotFound) && old != nil && now.Before(old.NextUpdate) {
		list, err = old, nil
	}
	return &crlLook{now, list, err}
}

// read returns the current list: old, if it still is.
func (c *crlSlot) read(ctx context.Context, from CRLs, old *CRL) (*CRL, error) {
	if old != nil {
		number, err := from.CRLNumber(ctx, c.authority, c.shard)
		if err != nil || number == old.number {
			return old, err
		}
	}
	row, err := from.CRL(ctx, c.authority, c.shard)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(row.DER)
	return &CRL{
		DER: row.DER, ETag: `"` + hex.EncodeToString(digest[:16]) + `"`, NextUpdate: row.NextUpdate, number: row.Number,
	}, nil
}
