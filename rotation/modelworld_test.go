package rotation_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/rotation"
	"github.com/pando-ca/pando/store"
)

// sabotage breaks one rule, so that the checks can be seen to notice.
type sabotage struct {
	hasty   bool // activate a root ten minutes after its publication, whoever has it
	forgets bool // count no certificates: retire at once
	blunt   bool // issue without cross-certificates
	ignores bool // count nobody who depends on what is revoked by hand
}

// modelPolicy has everything happen within hours. Clocks are off by at most five minutes, so
// two of them differ by ten.
var modelPolicy = rotation.Policy{
	RootLifetime: 5 * time.Hour, RootEvery: 2 * time.Hour,
	IntermediateLifetime: 2 * time.Hour, IntermediateEvery: time.Hour,
	LongestLeaf: 30 * time.Minute, Skew: 10 * time.Minute, RefreshHint: time.Minute,
}

const (
	modelClockError = 5 * time.Minute
	modelLag        = 20 * time.Second // of replicas, behind a new generation
	modelLeaseTTL   = time.Minute
)

// world is everything that takes part in a rotation, and the true time.
type world struct {
	rng *rand.Rand
	now time.Time
	sabotage

	td       spiffeid.TrustDomain
	keys     *modelKeys
	store    *modelStore
	rotators []*modelRotator
	replicas []*modelReplica
	clients  []*modelClient

	views    map[uint64]*ca.Set // what a generation looks like to a replica, by number
	bundles  map[uint64][]*x509.Certificate
	verifier *modelVerifier
	leaves   []modelLeaf // unexpired, also those that were replaced, under what is not revoked

	hands   bool              // somebody intervenes now and then; see modelhand_test.go
	byHand  int               // how often somebody did
	forced  bool              // what is carried out now is forced
	hurried map[string]uint64 // roots that were used before they were known: the first sequence that holds them

	seen  map[string]int // what happened, for the test to see that it did
	trace []string
	wrong error // the first violation
}

// modelRotator is the part of a replica that rotates.
type modelRotator struct {
	*rotation.Rotator
	name   string
	births int
	offset time.Duration // of its clock
	next   time.Time     // its next tick, by the true clock
}

// modelReplica issues. It sees a new generation late.
type modelReplica struct {
	sees    uint64    // number of the generation that it has adopted
	adoptAt time.Time // when it adopts the current one
}

// newWorld is a CA on its first day, with no certificate issued.
func newWorld(seed uint64, sab sabotage) *world {
	w := &world{
		rng: rand.New(rand.NewPCG(seed, 1)), now: time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC), sabotage: sab,
		keys:  &modelKeys{made: make(map[string]crypto.Signer), make: newP256},
		views: make(map[uint64]*ca.Set), bundles: make(map[uint64][]*x509.Certificate),
		verifier: newModelVerifier(), seen: make(map[string]int), hurried: make(map[string]uint64),
	}
	w.td, _ = spiffeid.ParseTrustDomain("example.org")
	w.store = &modelStore{
		clock: func() time.Time { return w.now }, replaced: w.replaced,
		records: make(map[int]*modelRecord), acks: make(map[int]uint64),
	}
	w.store.gen = w.firstGeneration()
	w.adoptable()
	for i := range 2 {
		m := &modelRotator{name: fmt.Sprintf("r%d", i), offset: w.clockError()}
		w.rotators = append(w.rotators, m)
		w.start(m)
	}
	for range 3 {
		w.replicas = append(w.replicas, &modelReplica{sees: 1})
	}
	w.populate()
	return w
}

// populate draws who lives in this history: anybody, nobody who follows, only those who do, or
// some who follow at once among others who never do.
func (w *world) populate() {
	kinds := [][]clientKind{
		{clientPrompt, clientSlow, clientFlaky, clientNever}, {clientNever},
		{clientPrompt, clientSlow, clientFlaky}, {clientPrompt, clientNever},
	}[w.rng.IntN(4)]
	for i := range 12 {
		w.clients = append(w.clients, &modelClient{name: fmt.Sprintf("c%d", i), kind: kinds[i%len(kinds)]})
	}
}

// newP256 makes the key of any authority: what the algorithm costs is not what is tested.
func newP256(ca.KeyAlgorithm) crypto.Signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		panic(err) // never; see crypto/ecdsa
	}
	return key
}

func (w *world) firstGeneration() *store.Generation {
	rootSigner, rootRef, _ := w.keys.Create(ca.ECDSAP256, ca.KeyLabel(w.td, ca.RoleRoot))
	signer, ref, _ := w.keys.Create(ca.ECDSAP256, ca.KeyLabel(w.td, ca.RoleIntermediate))
	root, err := ca.NewRoot(ca.RootConfig{TrustDomain: w.td, Signer: rootSigner, NotBefore: w.now, NotAfter: w.now.Add(modelPolicy.RootLifetime)})
	w.must(err)
	issuer, err := ca.NewIntermediate(ca.IntermediateConfig{
		TrustDomain: w.td, PublicKey: signer.Public(), Parent: root, ParentSigner: rootSigner,
		NotBefore: w.now, NotAfter: w.now.Add(modelPolicy.IntermediateLifetime),
	})
	w.must(err)
	return &store.Generation{
		Number: 1, TrustDomain: w.td.String(), Sequence: 1, PublishedAt: w.now, WindowKey: []byte("sealed"),
		Authorities: []store.Authority{
			{ID: ca.AuthorityID(root), Role: "root", State: "active", Certificate: root.Raw, Key: rootRef, StateSince: w.now, Sequence: 1},
			{ID: ca.AuthorityID(issuer), Role: "intermediate", State: "active", ParentID: ca.AuthorityID(root), Certificate: issuer.Raw, Key: ref, StateSince: w.now},
		},
	}
}

// start gives birth to a process that rotates.
func (w *world) start(m *modelRotator) {
	m.births++
	m.next = w.now.Add(w.within(time.Minute))
	policy := modelPolicy
	if w.hasty {
		policy.LongestLeaf = time.Second
	}
	reached := &unreliable{modelStore: w.store, draw: w.draw}
	reached.pause = func() { w.pause(m) }
	var err error
	m.Rotator, err = rotation.NewRotator(rotation.RotatorConfig{
		Store: &lying{reached, w.forgets}, Keys: w.keys, Policy: policy,
		Holder: fmt.Sprintf("%s/%d", m.name, m.births), LeaseTTL: modelLeaseTTL,
	})
	w.must(err)
}

// lying is a store that may have forgotten all certificates.
type lying struct {
	*unreliable
	forgets bool
}

func (l *lying) Facts(ctx context.Context, now time.Time) (*store.Facts, error) {
	facts, err := l.unreliable.Facts(ctx, now)
	if err == nil && l.forgets {
		facts.Issuers = nil
	}
	return facts, err
}

// draw decides what goes wrong with a call of a rotator.
func (w *world) draw(call string) fault {
	f := faultNone
	switch n := w.rng.IntN(100); {
	case n < 3:
		f = faultBefore
	case n < 6:
		f = faultAfter
	case n < 9:
		f = faultPause
	}
	if call == "ReplaceGeneration" && f == faultNone && w.rng.IntN(3) == 0 { // where it matters
		f = fault(1 + w.rng.IntN(3))
	}
	if f != faultNone {
		what := call + [...]string{"", " fails", " fails, but happens", " is held up"}[f]
		w.note("%s", what)
		w.seen[what]++
	}
	return f
}

// pause stops a process in the middle of a tick, until another one leads.
func (w *world) pause(stopped *modelRotator) {
	w.now = w.now.Add(modelLeaseTTL + w.within(time.Minute))
	w.adoptAll()
	for _, m := range w.rotators {
		if m != stopped {
			// A bare store: a process that is held up while it holds up another is no new case.
			other, err := rotation.NewRotator(rotation.RotatorConfig{
				Store: &lying{&unreliable{modelStore: w.store, draw: func(string) fault { return faultNone }}, w.forgets},
				Keys:  w.keys, Policy: modelPolicy, Holder: m.name + "/awake", LeaseTTL: modelLeaseTTL,
			})
			w.must(err)
			w.must(other.Tick(context.Background(), w.now.Add(m.offset)))
			w.must(other.Release(context.Background()))
		}
	}
	w.check()
}

// tick has a rotator do what is due. One that fails dies, and another is born.
func (w *world) tick(m *modelRotator) {
	if w.now.Before(m.next) {
		return
	}
	m.next = w.now.Add(10*time.Second + w.within(20*time.Second))
	err := m.Tick(context.Background(), w.now.Add(m.offset))
	switch {
	case errors.Is(err, errInjected):
		w.start(m)
		m.next = w.now.Add(w.within(5 * time.Minute))
	case err != nil:
		w.violated("%s: %v", m.name, err)
	}
}

// replaced is told of each new generation: the only moment at which the published state changes.
func (w *world) replaced(before, next *store.Generation, audits []store.Audit) {
	for _, audit := range audits {
		w.note("generation %d: %s %s: %s", next.Number, audit.Action, audit.Target, audit.Detail["reason"])
		reason, _, _ := strings.Cut(audit.Detail["reason"], " ")
		w.seen[audit.Action+" "+audit.Detail["role"]]++
		w.seen[audit.Detail["step"]+" because "+reason]++
	}
	if len(audits) == 0 {
		w.violated("generation %d has no audit", next.Number)
	}
	w.checkGeneration(before, next)
	if audits[0].Actor == handActor {
		w.ordered(next, audits[0].Detail["step"])
	}
	w.withdrawn(before, next)
	w.adoptable()
	for _, r := range w.replicas {
		r.adoptAt = w.now.Add(w.within(modelLag))
	}
}

// adoptable makes of the current generation what every replica makes of it.
func (w *world) adoptable() {
	gen := w.store.gen
	cfg := ca.SetConfig{
		TrustDomain: w.td, Generation: gen.Number, Sequence: gen.Sequence, PublishedAt: gen.PublishedAt,
		RefreshHint: modelPolicy.RefreshHint, WindowKey: []byte("window key of the model"),
	}
	for _, i := range gen.Incidents {
		cfg.Incidents = append(cfg.Incidents, ca.Incident{
			ID: i.ID, Issuers: i.Issuers, IssuedBefore: i.IssuedBefore, Start: i.StartsAt, Deadline: i.Deadline, Rate: i.Rate, Total: i.Total,
		})
	}
	for _, row := range gen.Authorities {
		a := ca.AuthorityConfig{
			ID: row.ID, Role: ca.Role(row.Role), State: ca.State(row.State), ParentID: row.ParentID, Certificate: row.Certificate,
			CrossParentID: row.CrossParentID, CrossCertificate: row.CrossCertificate,
		}
		if w.blunt {
			a.CrossParentID, a.CrossCertificate = "", nil
		}
		if len(row.Key) > 0 {
			var err error
			a.Signer, err = w.keys.Open(row.Key, ca.KeyLabel(w.td, a.Role))
			w.must(err)
		}
		cfg.Authorities = append(cfg.Authorities, a)
	}
	set, err := ca.NewSet(cfg, w.now)
	if err != nil {
		w.violated("generation %d cannot be adopted: %v", gen.Number, err)
		return
	}
	w.views[gen.Number] = set
	w.bundles[gen.Sequence] = set.Roots()
}

func (w *world) adoptAll() {
	for _, r := range w.replicas {
		if r.sees < w.store.gen.Number && !w.now.Before(r.adoptAt) {
			w.adopt(r)
		}
	}
}

func (w *world) adopt(r *modelReplica) {
	if w.views[w.store.gen.Number] != nil {
		r.sees = w.store.gen.Number
	}
}

// step lets some time pass, and everybody do what is due.
func (w *world) step() {
	w.now = w.now.Add(w.pass())
	w.adoptAll()
	for _, i := range w.rng.Perm(len(w.clients)) {
		w.live(w.clients[i])
	}
	for _, i := range w.rng.Perm(len(w.rotators)) {
		w.tick(w.rotators[i])
	}
	if w.hands {
		w.intervene()
	}
	if w.rng.IntN(100) == 0 {
		w.rotators[w.rng.IntN(len(w.rotators))].offset = w.clockError()
	}
	w.store.prune(w.now.Add(-time.Hour))
	w.check()
}

// run lives through a history, up to the first violation.
func (w *world) run(steps int) error {
	for range steps {
		if w.wrong != nil {
			break
		}
		w.step()
	}
	return w.wrong
}

func (w *world) pass() time.Duration {
	switch n := w.rng.IntN(20); {
	case n == 0:
		return w.within(5 * time.Minute)
	case n < 6:
		return w.within(2 * time.Minute)
	}
	return w.within(30 * time.Second)
}

func (w *world) within(d time.Duration) time.Duration { return time.Duration(w.rng.Int64N(int64(d))) }

// clockError is right, five minutes ahead or behind, or anything in between.
func (w *world) clockError() time.Duration {
	return max(-modelClockError, min(modelClockError, w.within(4*modelClockError)-2*modelClockError))
}

func (w *world) note(format string, args ...any) {
	w.trace = append(w.trace, w.now.Format("02 15:04:05 ")+fmt.Sprintf(format, args...))
}

func (w *world) violated(format string, args ...any) {
	if w.wrong == nil {
		w.wrong = fmt.Errorf(format, args...)
		w.note("VIOLATED: %v", w.wrong)
	}
}

func (w *world) must(err error) {
	if err != nil {
		w.violated("%v", err)
	}
}
