package store

import (
	"context"
	"time"
)

// These interfaces are what the two stores have in common, by subject. A consumer declares
// the one or two that it calls; storetest takes them all. All methods are safe for
// concurrent use.

// Inserter writes issuances.
type Inserter interface {
	// InsertBatch writes the batch in one transaction (a few, when rows of it ask for the
	// same one-use credential). When it returns nil, each issuance is either durable (its
	// error is nil) or refused (its error is one of ErrSerialTaken, ErrCallerRevoked,
	// ErrKeyBlocked, ErrEntryGone, ErrTokenUsed, ErrTokenExpired, ErrReplayed,
	// ErrIssuerInactive, ErrInvalid, in this order of precedence but ErrSerialTaken last:
	// those that signing again may help come after those that it cannot) and left no row;
	// or its error is any other one, such as ErrUnavailable, and it may not be released. A join token
	// or a JWT that appears twice in a batch is consumed by the first that nothing else
	// refuses. When InsertBatch returns an error, nothing may be released.
	// now is the time that join tokens are judged by.
	InsertBatch(ctx context.Context, batch []*Issuance, now time.Time) ([]error, error)
}

// Records reads what was issued.
type Records interface {
	// Record returns ErrNotFound for a serial number that was never issued or is pruned.
	Record(ctx context.Context, serial Serial) (*Record, error)
	// Records returns at most f.Limit records, latest NotAfter first.
	Records(ctx context.Context, f RecordFilter) ([]Record, error)
}

// Revocations withdraws certificates and keys. All of it waits for the insertions in flight;
// each insertion that starts later sees it. All of it is idempotent.
type Revocations interface {
	// Revoke returns ErrNotFound for an unknown serial number. The first revocation of a
	// certificate stands: its time and reason are not changed by another one, which leaves
	// no audit row unless it blocks the key.
	Revoke(ctx context.Context, serial Serial, at time.Time, reason int, audit Audit) error
	BlockKey(ctx context.Context, keyHash [32]byte, at time.Time, audit Audit) error
	// RevokeSelected revokes a part of what is selected, some thousand certificates in one
	// transaction, so that insertions do not wait for long. It returns how many it has
	// revoked, and where the next part begins; a zero Cursor says that nothing is left.
	// Beginning anew with a zero Cursor goes on where an interrupted run has stopped.
	//
	// Nothing is left means: also of what was inserted meanwhile. A key is blocked first. An
	// issuer that is active is refused with ErrIssuerActive, since it would go on signing. A
	// certificate of a SPIFFE ID that is renewed while it is being revoked has a successor
	// that is revoked too, or none.
	RevokeSelected(ctx context.Context, r BulkRevocation) (revoked int, next Cursor, err error)
	// CountSelected tells what RevokeSelected would revoke in all, at a moment. Both read an
	// index for a SPIFFE ID or an issuer, and every record that has not expired for a key.
	CountSelected(ctx context.Context, s Selector, at time.Time) (Selected, error)
}

// RevocationLog reads revocations in the order in which they were committed. Each has a
// number, which is higher than that of all before it: who has seen all up to a number has
// missed none. Numbers have gaps, and those that a restored database gives are higher than
// those that it gave in the time that it has lost, as far as clocks can be trusted.
type RevocationLog interface {
	// RevocationsSince returns at most limit revocations with a number above after, of
	// certificates that end after now, lowest number first.
	RevocationsSince(ctx context.Context, after uint64, now time.Time, limit int) ([]Revocation, error)
	// RevocationSequence is the highest number that was given, 0 before the first. It moves,
	// too, in the transaction in which the set of revoked authorities changes. It costs little.
	RevocationSequence(ctx context.Context) (uint64, error)
}

// Entries keeps the rules.
type Entries interface {
	CreateEntry(ctx context.Context, e Entry, audit Audit) error // ErrExists
	Entry(ctx context.Context, id string) (*Entry, error)        // ErrNotFound
	Entries(ctx context.Context, f EntryFilter) ([]Entry, error) // ordered by ID
	// DeleteEntry deletes an entry and its join tokens; ErrNotFound. It waits for the
	// insertions in flight; each one that starts later is refused with ErrEntryGone.
	DeleteEntry(ctx context.Context, id string, audit Audit) error
}

// EntryVersions tells whether the entries have changed.
type EntryVersions interface {
	// EntryVersion is a number that changes with every change of the entries.
	EntryVersion(ctx context.Context) (uint64, error)
}

// Tokens keeps join tokens. They are consumed by InsertBatch.
type Tokens interface {
	// CreateToken returns ErrNotFound when the entry does not exist, or is not for join
	// tokens, and ErrExists when a token has this ID or hash already.
	CreateToken(ctx context.Context, t Token, audit Audit) error
	// Token finds a token by the SHA-256 of its secret, used or not; ErrNotFound.
	Token(ctx context.Context, hash [32]byte) (*Token, error)
}

// Generations keeps the authorities.
type Generations interface {
	// Generation returns the current one; ErrNotFound before the first.
	Generation(ctx context.Context) (*Generation, error)
	// GenerationNumber is the number of the current one, 0 before the first. It costs little.
	GenerationNumber(ctx context.Context) (uint64, error)
	// ReplaceGeneration makes next current if the current number is from (0: there is
	// none) and the fence holds, and returns ErrConflict or ErrFenced otherwise. next.Number
	// must be from+1. It waits for the insertions in flight, and each one that starts
	// later is judged by next: see InsertBatch and ErrIssuerInactive. A key in a token that
	// next holds no more is doomed; one that it holds must have been held before, or be intended
	// or requested, or it is ErrConflict. See KeyIntents.
	// Incidents of next that are new are declared, those with a ClosedAt are closed, and those
	// that next does not hold stay as they are.
	ReplaceGeneration(ctx context.Context, from uint64, next Generation, fence Fence, audits ...Audit) error
}

// Incidents tells of mass re-issues, and of who is left.
type Incidents interface {
	// Incidents returns at most limit incidents, open or closed, the newest first.
	Incidents(ctx context.Context, limit int) ([]Incident, error)
	Incident(ctx context.Context, id string) (*Incident, error) // ErrNotFound
	// Dependents counts, by issuer, who depends on it: issuers without a certificate that is
	// neither expired nor revoked are left out. It reads every certificate that lives, and those
	// that may have renewed it, for seconds when there are millions: call it for incidents, and
	// for what is done by hand.
	Dependents(ctx context.Context, f DependentsFilter) (map[string]Dependents, error)
}

// KeyIntents remembers keys in tokens that nobody holds, so that none is left behind: from before
// a key is made until a generation or a request holds it, and from when it is no longer held
// until it is destroyed.
//
//	AddKeyIntent ──> intended ──> held by a generation or a request
//	                    │ too old                 │ held no more
//	                    v                         v
//	                  doomed <────────────────────┘ ──> destroyed: DropKeyIntent
//
// A doomed key comes to be held by nobody: who looks for it with DoomKeyIntents may destroy it.
type KeyIntents interface {
	// AddKeyIntent notes a key that may soon exist; ErrExists.
	AddKeyIntent(ctx context.Context, ref []byte, at time.Time) error
	// DoomKeyIntents dooms the intents from before the given time, and returns the references of
	// all that are doomed, the oldest first.
	DoomKeyIntents(ctx context.Context, before time.Time) ([][]byte, error)
	// DropKeyIntent forgets a doomed key, which no longer exists. It is idempotent, and does
	// nothing for an intent that is not doomed.
	DropKeyIntent(ctx context.Context, ref []byte) error
}

// AuthorityRequests keeps keys that wait for their certificates, at most one for each role.
// ReplaceGeneration deletes the request whose key its generation holds.
type AuthorityRequests interface {
	// AuthorityRequest returns ErrNotFound when there is none for the role.
	AuthorityRequest(ctx context.Context, role string) (*AuthorityRequest, error)
	// CreateAuthorityRequest returns ErrExists when there is one for the role, and ErrConflict
	// when its key is in a token and not intended any more.
	CreateAuthorityRequest(ctx context.Context, r AuthorityRequest, audit Audit) error
	// DeleteAuthorityRequest returns ErrNotFound. A key in a token is doomed by it.
	DeleteAuthorityRequest(ctx context.Context, role string, at time.Time, audit Audit) error
}

// Watcher tells of changes.
type Watcher interface {
	// Watch calls changed soon after the generation, the entries or the revocations may have
	// changed, on this replica or another, until ctx ends, and returns nil then. It may call
	// it more often. An error means that changes may have been missed: call it again.
	Watch(ctx context.Context, changed func()) error
}

// Leases decides who leads.
type Leases interface {
	// AcquireLease takes a lease that is free or has run out, with the next term, or prolongs
	// it, with the same term, for the holder that has it. It returns ErrConflict while
	// another holder has it.
	AcquireLease(ctx context.Context, name, holder string, ttl time.Duration) (Lease, error)
	// ReleaseLease frees a lease that the caller still has; otherwise it does nothing.
	ReleaseLease(ctx context.Context, lease Lease) error
}

// Acks keeps what the holders of certificates have acknowledged.
type Acks interface {
	// Acknowledge writes the acknowledgements in one transaction. The highest sequence of a
	// certificate stands. The certificate that one of them renews (Record.Replaces) no longer
	// counts as following, also if its own acknowledgement comes later. One for a certificate
	// that is revoked is dropped.
	Acknowledge(ctx context.Context, acks []Ack) error
	// Facts counts, at now. Its cost does not grow with the records that have expired; it does
	// with those that live, to some tenths of a second for a million: call it once a tick.
	Facts(ctx context.Context, now time.Time) (*Facts, error)
}

// CRLs keeps the lists that are published: of each authority and shard, the current one.
type CRLs interface {
	// CRLs returns all lists without their DER, ordered by authority and shard. Its cost does not
	// grow with the revocations.
	CRLs(ctx context.Context) ([]CRL, error)
	// CRL returns one list; ErrNotFound.
	CRL(ctx context.Context, authority string, shard int) (*CRL, error)
	// CRLNumber is the number of a list, 0 when there is none. It costs little.
	CRLNumber(ctx context.Context, authority string, shard int) (uint64, error)
	// ReplaceCRL publishes next if the current number is from (0: there is none) and the fence
	// holds, and returns ErrConflict or ErrFenced otherwise. next.Number must be greater than
	// from. The list of an authority that is in no generation any more is dropped by Prune.
	ReplaceCRL(ctx context.Context, from uint64, next CRL, fence Fence) error
}

// Revoked reads what a list has to hold.
type Revoked interface {
	// EachRevoked calls each for every revocation of a shard that has not been pruned, in no
	// order, with its number. Nothing is kept in memory but the one row; each must not call the
	// store.
	EachRevoked(ctx context.Context, q ShardQuery, each func(Revocation)) error
}

// Audits keeps the audit rows. Those of changes are written with the change.
type Audits interface {
	// Audits returns at most f.Limit rows.
	Audits(ctx context.Context, f AuditFilter) ([]Audit, error)
	// AppendAudit writes a row for what is not a change of the store itself.
	AppendAudit(ctx context.Context, audit Audit) error
}

// Upkeep is the work that a scheduler does.
type Upkeep interface {
	// Prepare makes what insertions will need until the given time (partitions, on
	// Postgres), the latest NotAfter that is expected. Insertions do not depend on it: what
	// is missing is made when it is needed, at the cost of a slow commit.
	Prepare(ctx context.Context, now, until time.Time) error
	// Prune drops records whose certificate expired before the given time (whole UTC days
	// of them, so that it may keep some for a day longer), tokens that were used or expired
	// before it, and JWTs that have been too old to be used for an hour, and the CRLs of authorities that are gone,
	// overrides that expired before it, and reports past MTLSMemory. It drops no
	// revocation: these keep a copy of what a CRL needs of their certificate, and stand
	// when its record is gone.
	Prune(ctx context.Context, now, before time.Time) error
	// PruneRevocations drops the revocations of certificates that expired before the given
	// time (whole UTC days of them), and never that of one that has not expired at now.
	PruneRevocations(ctx context.Context, now, before time.Time) error
	// Now is the time by the clock of the database.
	Now(ctx context.Context) (time.Time, error)
}

// Identities tells how the holders of certificates are.
type Identities interface {
	// Identities returns at most f.Limit identities, ordered by SPIFFE ID. Its cost does not
	// grow with certificates that had expired by the day of f.EndsAfter.
	Identities(ctx context.Context, f IdentityFilter) ([]Identity, error)
	// Watched returns the identities of the first limit SPIFFE IDs of watched entries, ordered by
	// SPIFFE ID. Its cost is that of finding one certificate for each.
	Watched(ctx context.Context, endsAfter time.Time, limit int) ([]Identity, error)
	// LiveCounts counts what is live at now, and of that what was issued in the [RecentlyIssued]
	// before. It reads each certificate that is live: call it now and then, and for no request.
	LiveCounts(ctx context.Context, now time.Time) ([]LiveCount, error)
}

// PreRenewals is what must be known to renew certificates for holders who only download.
type PreRenewals interface {
	// Holdings returns at most f.Limit certificates, revoked ones too, ordered by SPIFFE ID,
	// NotAfter and serial number.
	Holdings(ctx context.Context, f HoldingFilter) ([]Holding, error)
	// Newest returns, of the certificates of a SPIFFE ID for one public key, that which ends
	// last among those that are unexpired at now and not revoked; ErrNotFound if there is none.
	Newest(ctx context.Context, spiffeID string, keyHash [32]byte, now time.Time) (*Holding, error)
	// Collect notes that the holder of a certificate has been given it. It is idempotent.
	Collect(ctx context.Context, serial Serial) error
}

// Figures keeps one document, the figures of the fleet.
type Figures interface {
	// SaveFigures replaces the document, which is JSON, if the fence holds; ErrFenced.
	SaveFigures(ctx context.Context, data []byte, fence Fence) error
	// Figures returns the document, and how long ago it was saved by the clock of the
	// database; ErrNotFound before the first.
	Figures(ctx context.Context) (data []byte, age time.Duration, err error)
}

// MTLSPolicies keeps the rules of mutual TLS.
type MTLSPolicies interface {
	// MTLSPolicies returns all of them, ordered by pattern and name.
	MTLSPolicies(ctx context.Context) ([]MTLSPolicy, error)
	// SetMTLSPolicy makes a policy, or replaces the one with its pattern and name, and returns its
	// version. A version that is expected must be that of the one that is replaced, 0 when there
	// is to be none: ErrConflict otherwise, and nothing is changed. ErrTooMany when there would be
	// more than MaxMTLSPolicies or MaxMTLSNames.
	SetMTLSPolicy(ctx context.Context, p MTLSPolicy, expect *uint64, audit Audit) (version uint64, err error)
	// DeleteMTLSPolicy returns ErrNotFound, and ErrConflict as SetMTLSPolicy does.
	DeleteMTLSPolicy(ctx context.Context, pattern, name string, expect *uint64, audit Audit) error
}

// MTLSOverrides keeps what lets plaintext in for a while.
type MTLSOverrides interface {
	// MTLSOverrides returns overrides, those that began last first.
	MTLSOverrides(ctx context.Context, f MTLSOverrideFilter) ([]MTLSOverride, error)
	// StartMTLSOverride returns ErrExists for an ID that is there, and ErrTooMany when more than
	// MaxMTLSOverrides would be in force as it begins.
	StartMTLSOverride(ctx context.Context, o MTLSOverride, audit Audit) error
	// EndMTLSOverride ends an override that is in force at end.EndedAt, and returns it as it is
	// then. One that is not in force any more stays as it is, without an audit row. ErrNotFound.
	// Of end, ID and what says how it ended is used.
	EndMTLSOverride(ctx context.Context, end MTLSOverride, audit Audit) (*MTLSOverride, error)
}

// MTLSVersions tells whether policies or overrides have changed.
type MTLSVersions interface {
	// MTLSVersion is a number that grows with every change of them. Those that a restored database
	// gives are higher than those that it gave in the time that it has lost, as far as clocks can
	// be trusted. It costs little. That an override expires is no change.
	MTLSVersion(ctx context.Context) (uint64, error)
}

// MTLSReports keeps what programs say of their listeners.
type MTLSReports interface {
	// ReportMTLS writes reports in one transaction. One that is there is replaced, but keeps the
	// latest of its times that the new one does not know.
	ReportMTLS(ctx context.Context, reports []MTLSReport) error
	// MTLSReports returns at most f.Limit reports, ordered by key.
	MTLSReports(ctx context.Context, f MTLSReportFilter) ([]MTLSReport, error)
	// CountMTLSReports counts the reports of a SPIFFE ID, up to limit.
	CountMTLSReports(ctx context.Context, spiffeID string, limit int) (int, error)
}

// Health tells whether writes are accepted.
type Health interface {
	// Ping returns nil when the store accepts writes now.
	Ping(ctx context.Context) error
}
