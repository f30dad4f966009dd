package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/store"
)

// Issuances writes records; a *store.Batcher does. When Insert returns nil the record is
// durable. When it returns anything else nothing may be released, whether or not the row
// exists.
type Issuances interface {
	Insert(ctx context.Context, issuance *store.Issuance, now time.Time) error
	InsertAll(ctx context.Context, issuances []*store.Issuance, now time.Time) []error
}

// Observer is told of what a service does, for metrics. Its methods must not block.
type Observer interface {
	// Signed reports the time that one signature took, and whether it was refused.
	Signed(d time.Duration, err error)
	// Denied reports a denial by policy.
	Denied(profile string, rule policy.Rule)
	// Revoked reports that n certificates were revoked.
	Revoked(reason Reason, n int)
}

// Config is what a Service needs. Fields without a default are required.
type Config struct {
	Set       *ca.Set
	Issuances Issuances
	Records   store.Records
	Entries   EntryStore
	Tokens    store.Tokens

	Revocations store.Revocations

	Acks     Acks              // none: acknowledgements are not kept
	Holdings store.PreRenewals // none: nobody's certificates are renewed by Pando itself
	CRLs     CRLs              // none: no CRL is handed out
	Fleet    FigureStore       // none: there are no identities to list, and no figures
	Rotation Rotation          // none: authorities are shown without what they wait for
	Progress Progress          // none: an overview tells of no rotation
	Imports  Imports           // none: nobody else signs intermediates
	Jobs     Jobs              // none: there are no jobs to show or to run
	Audits   store.Audits      // none: there are no audit rows to list, and a job that is run by hand leaves none
	MTLS     MTLSStore         // none: programs are told no mTLS policy

	Orders    Orders    // none: steps are not taken by hand
	Incidents Incidents // none: there are no incidents to show

	Milestones Milestones // none: it is not told when the last backup was made, nor whether the database was restored

	Diagnostics Diagnostics // none: nothing is looked for
	Version     string      // of the program, as a diagnosis tells it

	Profiles       []policy.Profile            // none: the built-in ones
	Administrators map[spiffeid.ID]policy.Role // by client certificate; none: nobody
	Issuers        []string                    // configured names of the JWT issuers that entries may name

	IdentityRate  float64 // certificates per second for one caller; 0: no limit
	IdentityBurst int     // 0: one second's worth
	AddressRate   float64 // certificates per second for one address; 0: no limit
	AddressBurst  int     // 0: one second's worth
	Polls         PollLimits
	PreRenewRate  float64       // certificates per second that PreRenew signs; 0: 100
	FiguresAge    time.Duration // from when on figures say nothing any more; 0: five minutes

	Observer Observer     // none: nothing is told
	Log      *slog.Logger // none: discarded
}

// Service is the use cases. It is safe for concurrent use. Run must be running for it to see
// what other replicas change.
type Service struct {
	issuances   Issuances
	records     store.Records
	store       EntryStore
	tokens      store.Tokens
	revocations store.Revocations
	holdings    store.PreRenewals // nil: nothing is pre-renewed
	fleet       FigureStore       // nil: nobody counts
	rotation    Rotation
	progress    Progress // nil: not known
	crls        CRLs     // nil: none is handed out
	imports     Imports
	jobs        Jobs
	orders      Orders
	incidents   Incidents
	audits      store.Audits  // nil: there are none
	milestones  Milestones    // nil: nobody looks
	diagnostics Diagnostics   // nil: nobody looks
	diagnosing  chan struct{} // holds one value while a diagnosis is made
	version     string
	mtlsStore   MTLSStore // nil: nobody is told a policy
	observer    Observer
	log         *slog.Logger

	profiles map[string]*policy.Profile
	admins   map[spiffeid.ID]policy.Role
	issuers  map[string]bool

	identities    *limiter
	addresses     *limiter
	reporters     *limiter // identities that report, whose certificates do not wait for that
	pacer         *pacer
	preRenewLimit *rate.Limiter
	figuresAge    time.Duration

	// Swapped as a whole, read once per request.
	trust    atomic.Pointer[trust]
	follower atomic.Pointer[follower]     // nil until Follow runs
	figures  atomic.Pointer[knownFigures] // nil until there are some
	polls    *polls
	acks     *acker // nil: acknowledgements are not kept
	reports  *reporter

	entries *entryIndex
	revoked *revocations
	mtls    *mtlsIndex

	issued     atomic.Uint64             // certificates that were released since the start
	lastBackup atomic.Pointer[time.Time] // nil: none that is known

	// Immutable facts by serial number: what a certificate may be renewed to, and to whom a
	// verified client certificate belongs. Both only save work.
	current *lru.Cache[ca.Serial, *holding]
	peers   *peerCache
}

// currentCacheSize holds the certificates of a fleet of this size without a look-up per
// renewal, at about 300 bytes each.
const currentCacheSize = 100_000

// New returns a Service. It refuses profiles that the active issuer cannot cover.
func New(cfg Config) (*Service, error) {
	if cfg.Set == nil || cfg.Issuances == nil || cfg.Records == nil || cfg.Entries == nil || cfg.Tokens == nil ||
		cfg.Revocations == nil {
		return nil, errors.New("server: the configuration lacks a set, issuances, records, entries, tokens or revocations")
	}
	s := &Service{
		issuances: cfg.Issuances, records: cfg.Records, store: cfg.Entries, tokens: cfg.Tokens,
		revocations: cfg.Revocations, holdings: cfg.Holdings, fleet: cfg.Fleet,
		rotation: cfg.Rotation, progress: cfg.Progress, crls: cfg.CRLs, imports: cfg.Imports, jobs: cfg.Jobs, orders: cfg.Orders, incidents: cfg.Incidents, audits: cfg.Audits, milestones: cfg.Milestones, mtlsStore: cfg.MTLS, observer: cfg.Observer, log: cfg.Log,
		diagnostics: cfg.Diagnostics, diagnosing: make(chan struct{}, 1), version: cfg.Version,
		profiles: make(map[string]*policy.Profile), admins: maps.Clone(cfg.Administrators),
		issuers:       make(map[string]bool),
		identities:    newLimiter("identity", cfg.IdentityRate, cfg.IdentityBurst),
		addresses:     newLimiter("address", cfg.AddressRate, cfg.AddressBurst),
		reporters:     newLimiter("identity", cfg.IdentityRate, cfg.IdentityBurst),
		preRenewLimit: newPreRenewLimit(cfg.PreRenewRate), figuresAge: cmp.Or(cfg.FiguresAge, defaultFiguresAge),
		entries: newEntryIndex(), revoked: newRevocations(), mtls: newMTLSIndex(), peers: newPeerCache(), polls: newPolls(cfg.Polls), pacer: newPacer(),
	}
	if s.observer == nil {
		s.observer = silent{}
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if cfg.Acks != nil {
		s.acks = newAcker(cfg.Acks, s.log)
	}
	if cfg.MTLS != nil {
		s.reports = newReporter(cfg.MTLS, s.log)
	}
	for _, name := range cfg.Issuers {
		s.issuers[name] = true
	}
	for id := range s.admins {
		if !policy.Reserved(id) || !id.MemberOf(cfg.Set.TrustDomain()) {
			return nil, fmt.Errorf("server: administrator %s is not under %s/pando/", id, cfg.Set.TrustDomain().ID())
		}
	}
	var err error
	if s.current, err = lru.New[ca.Serial, *holding](currentCacheSize); err != nil {
		return nil, err
	}
	if err := s.loadProfiles(cfg.Profiles); err != nil {
		return nil, err
	}
	return s, s.Adopt(cfg.Set, time.Now())
}

func (s *Service) loadProfiles(profiles []policy.Profile) error {
	if len(profiles) == 0 {
		profiles = policy.Profiles()
	}
	for _, p := range profiles {
		if err := p.Validate(); err != nil {
			return err
		}
		if s.profiles[p.Name] != nil {
			return fmt.Errorf("profile %q is defined twice", p.Name)
		}
		s.profiles[p.Name] = &p
	}
	return nil
}

// Adopt makes set current for every request that starts from now on, after checking that its
// issuer covers a certificate of every profile's duration. One that asks for more, up to the
// profile's maximum, is refused when the issuer has not that much left. It wakes those who wait
// for a trust bundle.
func (s *Service) Adopt(set *ca.Set, now time.Time) error {
	for _, p := range s.profiles {
		if err := set.Covers(p.Duration, now); err != nil {
			return fmt.Errorf("profile %q gives %s: %w", p.Name, p.Duration, err)
		}
	}
	t, err := newTrust(set, s.trust.Load())
	if err != nil {
		return err
	}
	if old := s.trust.Swap(t); old != nil {
		close(old.next)
	}
	return nil
}

// Set is the authorities that are current now.
func (s *Service) Set() *ca.Set { return s.trust.Load().set }

// HasProfile reports whether there is a profile of this name. Metrics use it to keep labels closed.
func (s *Service) HasProfile(name string) bool { return s.profiles[name] != nil }

// Run follows the entries, the figures and the backups, and writes acknowledgements and reports
// until ctx ends. It returns when all that it started is gone, and the acknowledgements are written
// or have failed.
func (s *Service) Run(ctx context.Context) error {
	var working sync.WaitGroup
	if s.acks != nil {
		working.Go(func() { s.acks.run(ctx) })
	}
	if s.reports != nil {
		working.Go(func() { s.reports.run(ctx) })
	}
	if s.fleet != nil {
		working.Go(func() { s.followFigures(ctx) })
	}
	if s.milestones != nil {
		working.Go(func() { s.followBackups(ctx) })
	}
	err := s.followEntries(ctx)
	working.Wait()
	return err
}

// silent is the Observer of a service that nobody observes.
type silent struct{}

func (silent) Signed(time.Duration, error) {}
func (silent) Denied(string, policy.Rule)  {}
func (silent) Revoked(Reason, int)         {}
