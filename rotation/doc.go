// Package rotation does the work that recurs: it replaces the authorities before they end, makes
// what issuance will need before it is needed, and removes what nobody needs any more.
//
// # Authorities
//
// Roots and intermediates live by one machine, any number of them at once, one row each:
//
//	            published            signs              what it signed          nothing is left
//	            signs nothing        leaves (I)         is still good           of what it signed
//	           ┌──────────┐ spread  ┌──────────┐       ┌──────────┐  drain     ┌──────────┐
//	root  ───> │ prepared │ ──────> │  active  │ ────> │ retiring │ ─────────> │ retired  │ ──> dropped,
//	           └──────────┘  gate   └──────────┘       └──────────┘  gate      └──────────┘     once expired
//	intermediate ─────────────────────^  succeeded by another       key destroyed,
//	                                                                root leaves the bundle
//
//	by hand:  prepared, active, retiring ── taint ──> tainted ── revoke ──> revoked ──> dropped,
//	                                                  what depends on it    key destroyed,     once expired
//	                                                  is replaced           root leaves the bundle
//
// The trust bundle holds the roots that are prepared, active, retiring and tainted. Its sequence
// changes exactly when that set does: when a root is made, and when one retires or is revoked. An
// intermediate is in no bundle, because leaves carry it; it is active from the moment that it is made.
//
// The spread gate opens when all who follow have acknowledged a bundle with the root, and it has
// been published for five refresh hints; or when every leaf from before the publication has
// expired, since what comes with each later leaf is the new bundle. Activation replaces root and
// intermediate in one generation. Whoever has still the old root alone is carried: while that root
// is retiring, chains hold the cross-certificate that it gave the new one.
//
// The drain gate opens when no unexpired leaf is left under an intermediate, and for a root when
// its intermediates have retired. Then every live leaf was issued under the new root, and came
// with it: nobody needs the old one, or the cross-certificate. One root is prepared at a time, and
// by itself none while an earlier one is in use, so that one cross-certificate leads from any
// bundle that is in use to any chain. Steps by hand can have more roots in use. Then chains lead
// from each to the one before, and a root waits for those to which chains lead through it.
//
// The invariant behind both gates: every unexpired leaf verifies, with the chain that it was
// handed out with, under every bundle that a live client can hold then; and for those who follow
// it does without the cross-certificate. The tests of this package live through long random
// histories and check it after each step.
//
// # One step
//
// [Plan] and [Gates] are pure: they say from rows, counts and the time what is due, and what is
// waited for. A [Rotator] carries it out:
//
//	lease ─> read generation, then facts ─> Plan ─> make keys, certificates ─> ReplaceGeneration
//	  ^                                                                           │ the commit point:
//	  └──────────────── again, until nothing is due ──────────────────────────────┘ from, fence, audit
//
// A step is one write. If the process dies before it, the keys that were made are gone, since they
// were sealed into rows that nobody wrote; if it dies after it, nothing is left to do. A write whose
// outcome is unknown is not repeated but looked at: the next tick reads what became of it. A leader
// that was stopped and wakes up too late is refused by the term of its lease, and by the number of
// the generation. Each authority whose state changes leaves an audit row in the same transaction.
//
// An [Order] is a step that somebody wants now. It goes the same way, from a pure decision to one
// write, but for the lease: [Rotator.Carry]. A taint declares an incident in the same write, a mass
// re-issue at a rate and before a deadline; package ca places each certificate in it.
//
// Time is that of the replica that ticks, and clocks differ by [Policy].Skew: gates are late by it,
// certificates begin earlier by it, facts are counted as of that long ago. The lease alone is
// judged by the clock of the database.
//
// # Jobs
//
// A [Scheduler] runs named jobs, the rotation among them, each by its own schedule:
//
//	schedule   0    1    2    3    4        moments, the same on every replica
//	           |    |    |    |    |
//	offset     |··  |··  |··  |··  |··      drawn once per job and process
//	             ▼    ▼    ▼    ▼    ▼
//	runs         ██   ████████   ██        one at a time; a run that is due meanwhile is skipped
//
// Schedules are functions of the clock and not of when the process started, so that a job
// with a period of six hours also runs on a replica that is restarted every five. The offset
// keeps replicas from doing the same work in the same instant.
//
// A job that would be the same work on every replica is [Leased]: the replica that has its lease
// does it for all.
//
// Every job may run on every replica, twice, or not at all for a while: it looks at what is
// there and does what is missing. What a run left undone when the process died, the next one
// does. A job that fails is logged, counted, and tried again at its next moment.
package rotation
