package client

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

const (
	trustPath = "/v1/trust"

	// pollWait is how long the CA may hold a poll when there is nothing to tell. It is under
	// the idle limits that firewalls and proxies usually have.
	pollWait = 30 * time.Second

	// firstWait is the same for the first poll and for the first after a failure, so that
	// Status soon says whether the CA is followed.
	firstWait = time.Second

	// minPoll is the least time between two polls without news, however soon the CA answers.
	minPoll = 5 * time.Second

	// ackSpread is over how long the next polls of a fleet that learned of new roots (these
	// are the acknowledgements), of revocations or of a policy at one instant are spread, and
	// the reports on what follows from it.
	ackSpread = time.Second

	// absentPause is how long a CA that is too old to be followed is left alone.
	absentPause = time.Hour

	// refusedPause is the same for a CA that refuses this certificate as revoked. The list of
	// revocations that is known stays in force.
	refusedPause = 10 * time.Minute

	// maxPages is how many parts of a list of revocations are asked for without a pause:
	// enough for all that is kept, at 10 000 each.
	maxPages = 500
)

// errAbsent says that no server knows the trust poll.
var errAbsent = errors.New("the CA is too old to be followed")

// follower learns of new roots, of revocations, and of renewals ahead of time, when the CA
// announces them. It polls GET /v1/trust: the CA holds the request until there is something
// newer than after and revocations_after, and after is the acknowledgement of the sequence
// that this side is on.
//
// It keeps its connection, because a fleet that polls every half minute would otherwise
// spend the CA's time on handshakes. The connection lasts as long as the certificate that
// it was opened with, so that the acknowledgement is that certificate's, and as long as the
// server's certificate is good under the roots of the moment. A follower belongs to one
// goroutine.
type follower struct {
	source  *Source
	servers []string // base URLs
	dial    dialFunc

	preferred int // index of the server that answered last
	failures  int // since the last success
	answered  bool
	refused   map[string]refusedWith // by server
	pages     int                    // parts of a list of revocations that came without a pause

	line   *line             // nil: none is open
	server string            // that it goes to
	leaf   *x509.Certificate // that it was opened with

	reporter reporter
}

// refusedWith is how much of a question a server that is too old has refused, and with which
// certificate. With another one it is asked for everything again.
type refusedWith struct {
	leaf  *x509.Certificate
	parts int
}

func newFollower(s *Source, p *pando) *follower {
	return &follower{source: s, servers: p.servers, dial: p.dial, refused: make(map[string]refusedWith), reporter: newReporter()}
}

// run follows the CA until ctx ends.
func (f *follower) run(ctx context.Context) {
	defer f.hangUp()
	for ctx.Err() == nil {
		f.turn(ctx)
	}
}

// turn polls once and waits for when to poll next. A new certificate ends both, unless the
// CA is too old.
func (f *follower) turn(ctx context.Context) {
	cur, polling, cancel := f.source.poll(ctx)
	defer cancel()
	begun := time.Now()
	if cur.expired(begun) {
		f.hangUp()
		f.outcome(ErrExpired)
		sleep(polling, maxNap)
		return
	}
	wait := firstWait
	if f.answered {
		wait = pollWait
	}
	news := false
	u, err := f.ask(polling, cur, wait)
	if err == nil {
		news, err = f.source.followed(cur, u, time.Now())
		if news = f.source.told(u.policy, time.Now()) || news; !news {
			f.report(polling, cur)
		}
	}
	if polling.Err() != nil {
		return
	}
	f.outcome(err)
	more := err == nil && f.more(cur, u)
	if f.pages++; !more {
		f.pages = 0
	}
	switch {
	case errors.Is(err, errAbsent):
		sleep(ctx, absentPause)
	case isRevoked(err):
		f.source.refusedAsRevoked(cur, time.Now())
		sleep(polling, refusedPause)
	case err != nil:
		sleep(polling, backoff(f.failures, maxBackoff, err))
	case more && f.pages < maxPages:
	case news:
		sleep(polling, rand.N(ackSpread)) //nolint:gosec // jitter is no secret
		f.report(polling, cur)            // of another mode, which a whole fleet may have from now on
	default:
		sleep(polling, time.Until(begun.Add(min(minPoll, wait))))
	}
}

// more reports whether there is more to be had at once: the CA says so, and the answer has
// brought the list forward.
func (f *follower) more(polled *snapshot, u update) bool {
	return u.revocations != nil && u.revocations.More &&
		f.source.snapshot.Load().revoked.cursor() != polled.revoked.cursor()
}

// poll returns the snapshot to poll with, and a context that ends when its certificate is
// replaced.
func (s *Source) poll(ctx context.Context) (cur *snapshot, polling context.Context, cancel context.CancelFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	polling, s.interrupt = context.WithCancel(ctx)
	return s.snapshot.Load(), polling, s.interrupt
}

// outcome records how a poll went. Only changes are worth a line in the log.
func (f *follower) outcome(err error) {
	s := f.source
	s.mu.Lock()
	s.following, s.followError = err == nil, err
	s.mu.Unlock()
	switch {
	case err == nil && !f.answered:
		s.log.Info("following the CA", "spiffe_id", s.ID())
	case err != nil && f.failures == 0:
		s.log.Warn("following the CA failed", "spiffe_id", s.ID(), "error", err)
	}
	f.answered = err == nil
	if f.failures++; err == nil {
		f.failures = 0
	}
}

// ask polls the servers in turn until one answers or refuses. A server that is too old does
// not stop the next from being asked: they may be upgraded one after the other.
func (f *follower) ask(ctx context.Context, cur *snapshot, wait time.Duration) (update, error) {
	var failure error
	absent := 0
	for i := range f.servers {
		n := (f.preferred + i) % len(f.servers)
		u, err := f.askServer(ctx, f.servers[n], cur, wait)
		if err == nil {
			f.preferred = n
			return u, nil
		}
		failure = also(failure, err)
		if isAbsent(err) {
			absent++
			continue
		}
		if ctx.Err() != nil || refused(err) {
			break
		}
	}
	if absent == len(f.servers) {
		return update{}, fmt.Errorf("%w: %w", errAbsent, failure)
	}
	return update{}, failure
}

// isAbsent reports whether a server does not know what a trust poll is.
func isAbsent(err error) bool {
	var refusal *ServerError
	return errors.As(err, &refusal) && (refusal.Status == http.StatusNotFound || refusal.Status == http.StatusMethodNotAllowed)
}

// askServer polls one server. One that is too old for the policy, or for revocations too, may
// refuse a poll that asks for them: it is polled without, until there is another certificate.
func (f *follower) askServer(ctx context.Context, server string, cur *snapshot, wait time.Duration) (update, error) {
	ctx, cancel := context.WithTimeout(ctx, wait+exchangeTimeout)
	defer cancel()
	known := f.refused[server]
	if known.leaf != cur.leaf() {
		known = refusedWith{leaf: cur.leaf()}
	}
	query := fmt.Sprintf("after=%d&wait=%s", cur.trust.sequence, wait)
	parts := []string{
		fmt.Sprintf("&revocations_after=%d", cur.revoked.cursor()),
		"&mtls_version=" + f.source.policyVersion(),
	}
	for ; ; known.parts++ {
		u, err := f.askFor(ctx, server, query+strings.Join(parts[:len(parts)-known.parts], ""), cur)
		if !isInvalid(err) || known.parts == len(parts) {
			return u, err
		}
		f.refused[server] = refusedWith{known.leaf, known.parts + 1}
	}
}

// isInvalid reports whether a server did not understand the request.
func isInvalid(err error) bool {
	var refusal *ServerError
	return errors.As(err, &refusal) && refusal.Status == http.StatusBadRequest
}

// askFor makes one poll, and hangs up unless it got a good answer.
func (f *follower) askFor(ctx context.Context, server, query string, cur *snapshot) (update, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server+trustPath+"?"+query, nil)
	if err != nil {
		return update{}, err
	}
	setHeader(request)
	l, err := f.lineTo(ctx, server, request, cur)
	if err != nil {
		return update{}, fmt.Errorf("%s: %w", server, err)
	}
	response, body, reusable, err := l.ask(ctx, request) //nolint:bodyclose // readResponse closes it
	if err != nil {
		f.hangUp()
		return update{}, fmt.Errorf("%s: %w", server, err)
	}
	if response.StatusCode != http.StatusOK {
		f.hangUp()
		return update{}, refusal(server, response, body, time.Now())
	}
	u, err := learned(body, cur.trust)
	if err != nil || !reusable {
		f.hangUp()
	}
	if err != nil {
		return update{}, fmt.Errorf("%s: %w", server, err)
	}
	return u, nil
}

// lineTo returns the open line if it still serves, and a new one otherwise.
func (f *follower) lineTo(ctx context.Context, server string, request *http.Request, cur *snapshot) (*line, error) {
	c := cur.contact()
	if f.line != nil && f.server == server && f.leaf == cur.leaf() && c.verify(f.line.peer(), time.Now()) == nil {
		return f.line, nil
	}
	f.hangUp()
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	l, err := openLine(ctx, f.dial, request.URL, c)
	if err != nil {
		return nil, err
	}
	f.line, f.server, f.leaf = l, server, cur.leaf()
	return l, nil
}

func (f *follower) hangUp() {
	if f.line != nil {
		f.line.close()
		f.line = nil
	}
}
