package rotation

import (
	"fmt"
	"time"
)

// spreadHints is how many refresh hints must pass before a root is activated early: a verifier
// that looks once per hint has had the new bundle four times.
const spreadHints = 5

// Policy says how long authorities live and when they are replaced. All of it is judged by the
// clocks of the replicas, which may differ from each other, and from those of verifiers, by Skew.
type Policy struct {
	RootLifetime         time.Duration // validity of a new root
	RootEvery            time.Duration // a root is replaced this long after it became active
	IntermediateLifetime time.Duration // validity of a new intermediate
	IntermediateEvery    time.Duration // an intermediate is replaced this long after it became active
	LongestLeaf          time.Duration // the longest validity that any profile allows
	Skew                 time.Duration // the most by which two clocks differ
	RefreshHint          time.Duration // of the trust bundle
}

// Validate returns an error unless every step of a rotation has the time that it takes before
// the next one is due: then an issuer always covers the longest leaf.
func (p Policy) Validate() error {
	switch {
	case p.RootLifetime <= 0, p.RootEvery <= 0, p.IntermediateLifetime <= 0, p.IntermediateEvery <= 0,
		p.LongestLeaf <= 0, p.RefreshHint <= 0:
		return fmt.Errorf("rotation policy: a duration is missing or negative: %+v", p)
	case p.Skew < 0:
		return fmt.Errorf("rotation policy: skew %s is negative", p.Skew)
	}
	if least := p.IntermediateEvery + p.cover(); p.IntermediateLifetime < least {
		return fmt.Errorf("rotation policy: intermediates live for %s: with leaves of %s, and one intermediate every %s, they must live for %s",
			p.IntermediateLifetime, p.LongestLeaf, p.IntermediateEvery, least)
	}
	if least := p.RootEvery + p.spread() + p.IntermediateLifetime; p.RootLifetime < least {
		return fmt.Errorf("rotation policy: roots live for %s: with intermediates of %s, and one root every %s, they must live for %s",
			p.RootLifetime, p.IntermediateLifetime, p.RootEvery, least)
	}
	if least := p.drain() + p.spread(); p.RootEvery < least {
		return fmt.Errorf("rotation policy: a root every %s: with leaves of %s, the one before is in use for %s",
			p.RootEvery, p.LongestLeaf, least)
	}
	return nil
}

// spread is the time after which a published root may be activated whoever has acknowledged it:
// every leaf from before the publication has expired, and what came with each later one was
// the new bundle.
func (p Policy) spread() time.Duration { return p.LongestLeaf + p.Skew }

// early is the time before which a published root is not activated, even if all who
// acknowledge have it. Publication and activation may be timed by two clocks.
func (p Policy) early() time.Duration { return spreadHints*p.RefreshHint + p.Skew }

// drain is the time after which nothing is left under an authority that stopped signing.
func (p Policy) drain() time.Duration { return p.LongestLeaf + p.Skew }

// cover is how far ahead an issuer must reach: the longest leaf, asked for on the clock that
// is ahead, of a successor that was made on the clock that is behind.
func (p Policy) cover() time.Duration { return p.LongestLeaf + 2*p.Skew }
