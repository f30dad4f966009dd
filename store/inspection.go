package store

import (
	"context"
	"time"
)

// Inspection tells whoever looks for what is wrong how a store is.
type Inspection interface {
	// SchemaVersion is the number of the last migration that was applied to the database.
	SchemaVersion(ctx context.Context) (int64, error)
	// PartitionsUntil is up to when insertions find the partition that they need, from the day of
	// now on and without a gap; zero for a store that has none.
	PartitionsUntil(ctx context.Context, now time.Time) (time.Time, error)
	// LeaseStates returns every lease that was ever held, ordered by name.
	LeaseStates(ctx context.Context) ([]LeaseState, error)
	// EntryUses returns, of at most f.Limit entries, whether they are in use, ordered by ID. Its
	// cost is that of looking into the index once for each entry and each day from f.EndsAfter on.
	EntryUses(ctx context.Context, f EntryUseFilter) ([]EntryUse, error)
}

// LeaseState is a lease that is held, or was.
type LeaseState struct {
	Lease
	Left time.Duration // until it runs out, by the clock of the database; negative: it has
}

// EntryUseFilter selects entries, and says when one counts as used. Entries with claims in their
// SPIFFE ID are left out: they give any number of identities.
type EntryUseFilter struct {
	CreatedBefore time.Time // only entries that are older; required
	EndsAfter     time.Time // used: its SPIFFE ID has a certificate that ends after this; required
	Limit         int       // required, 1 to 10 000
}

// EntryUse is whether an entry is in use.
type EntryUse struct {
	ID       string
	SPIFFEID string
	Used     bool
}
