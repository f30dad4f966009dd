package rotation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/pando-ca/pando/store"
)

const (
	// JobCRLs is the name of the job that publishes CRLs.
	JobCRLs = "crls"
	// CRLLeaseName is the lease of the replica that publishes CRLs at the moment.
	CRLLeaseName = "crls"

	defaultCRLPeriod = time.Hour
)

// CRLStore is what a [Publisher] reads and writes.
type CRLStore interface {
	CRLLists
	store.Revoked
	store.Leases
	// Generation is that of [store.Generations].
	Generation(ctx context.Context) (*store.Generation, error)
}

// CRLLists keeps what is published; see [store.CRLs].
type CRLLists interface {
	CRLs(ctx context.Context) ([]store.CRL, error)
	ReplaceCRL(ctx context.Context, from uint64, next store.CRL, fence store.Fence) error
}

// PublisherConfig configures a [Publisher].
type PublisherConfig struct {
	Store    CRLStore      // required
	Keys     Keys          // required
	Policy   CRLPolicy     // Period 0 means one hour
	Holder   string        // required: names this process in the lease; no two processes share it
	LeaseTTL time.Duration // 0 means one minute; longer than it takes to sign the largest list
	Log      *slog.Logger  // none: discarded
}

// Publisher publishes the CRLs of all authorities. It keeps nothing between two runs but what it has
// seen last: what there is to do is in the store. It is safe for concurrent use.
type Publisher struct {
	cfg   PublisherConfig
	maker maker // of which only the keys are used

	mu     sync.Mutex
	status []CRLStatus
}

// CRLStatus is how fresh the CRL of an authority is. Of several shards it is the oldest one that counts.
type CRLStatus struct {
	Authority  string
	ThisUpdate time.Time // the earliest of all shards
	NextUpdate time.Time // the earliest of all shards
	Entries    int       // in all shards
}

// NewPublisher returns a Publisher. It does nothing by itself; see Publish.
func NewPublisher(cfg PublisherConfig) (*Publisher, error) {
	switch {
	case cfg.Store == nil, cfg.Keys == nil:
		return nil, errors.New("publisher: store or keys are missing")
	case cfg.Holder == "":
		return nil, errors.New("publisher: holder is missing")
	case cfg.LeaseTTL < 0:
		return nil, fmt.Errorf("publisher: lease of %s is negative", cfg.LeaseTTL)
	}
	if cfg.Policy.Period == 0 {
		cfg.Policy.Period = defaultCRLPeriod
	}
	if err := cfg.Policy.Validate(); err != nil {
		return nil, fmt.Errorf("publisher: %w", err)
	}
	if cfg.LeaseTTL == 0 {
		cfg.LeaseTTL = defaultLeaseTTL
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Publisher{cfg: cfg, maker: maker{keys: cfg.Keys}}, nil
}

// Publish publishes the lists that are due at now; it is the work of [JobCRLs]. To find that none is
// costs two queries. Each list is one write that happens or does not, and each is
// signed, read back and verified before it replaces the one before; a process may die at any line.
// Replicas do not work at the same time, but follow each other.
//
// An authority whose key cannot be used keeps its last lists, and those of the others are published
// all the same; the error tells of it.
func (p *Publisher) Publish(ctx context.Context, now time.Time) error {
	_, due, err := p.look(ctx, now)
	if err != nil || len(due) == 0 {
		return wrapPublish(err)
	}
	lease, err := p.cfg.Store.AcquireLease(ctx, CRLLeaseName, p.cfg.Holder, p.cfg.LeaseTTL)
	if errors.Is(err, store.ErrConflict) {
		return nil // another replica is at it
	}
	if err != nil {
		return wrapPublish(fmt.Errorf("acquire lease: %w", err))
	}
	err = p.round(ctx, lease, now)
	if released := p.cfg.Store.ReleaseLease(context.WithoutCancel(ctx), lease); released != nil {
		err = errors.Join(err, fmt.Errorf("release lease: %w", released))
	}
	_, _, looked := p.look(ctx, now) // for the status
	return wrapPublish(errors.Join(err, looked))
}

func wrapPublish(err error) error {
	if err != nil {
		err = fmt.Errorf("publish CRLs: %w", err)
	}
	return err
}

// Status tells how fresh the CRLs are, as this replica has seen it last, in the order of the
// generation. An authority that publishes none, or of which a shard is missing yet, is left out.
func (p *Publisher) Status() []CRLStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status
}

// look reads what there is and what is due.
func (p *Publisher) look(ctx context.Context, now time.Time) (*store.Generation, []CRLDue, error) {
	gen, err := p.cfg.Store.Generation(ctx)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, nil // only init makes a first generation
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read generation: %w", err)
	}
	lists, err := p.cfg.Store.CRLs(ctx)
	if err != nil {
		return nil, nil, err
	}
	due, err := PlanCRLs(gen, lists, p.cfg.Policy, now)
	if err != nil {
		return nil, nil, err
	}
	status, err := crlStatus(gen, lists, p.cfg.Policy, now)
	if err != nil {
		return nil, nil, err
	}
	p.mu.Lock()
	p.status = status
	p.mu.Unlock()
	return gen, due, nil
}

// crlStatus sums the shards of each authority up.
func crlStatus(gen *store.Generation, lists []store.CRL, policy CRLPolicy, now time.Time) ([]CRLStatus, error) {
	all, err := publishers(gen, now)
	if err != nil {
		return nil, err
	}
	var status []CRLStatus
	for _, a := range all {
		first := listOf(lists, a.ID, 0)
		s := CRLStatus{Authority: a.ID, ThisUpdate: first.ThisUpdate, NextUpdate: first.NextUpdate}
		complete := true
		for shard := range policy.shards(a) {
			list := listOf(lists, a.ID, shard)
			complete = complete && list.Number > 0
			s.ThisUpdate, s.NextUpdate = earlier(s.ThisUpdate, list.ThisUpdate), earlier(s.NextUpdate, list.NextUpdate)
			s.Entries += list.Entries
		}
		if complete {
			status = append(status, s)
		}
	}
	return status, nil
}
