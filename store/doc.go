// Package store is the vocabulary of durability: the rows that Pando keeps, the
// conditions under which it keeps them, and the errors that say why it did not.
// It holds no driver; store/postgres and store/sqlite implement the same methods
// and pass the same suite, store/storetest.
//
// # What is promised
//
// A row that a method reported as written is durable: it survives the death of the
// process, of the database and of the machine. When the outcome of a commit is not
// known, the method reports [ErrUnavailable] and the row may exist; nothing that
// depends on it may leave the process.
//
// A certificate is written together with the conditions under which it may exist
// ([Issuance]): the certificate that asked for it is not revoked, its key is not
// blocked, the entry that allows it is still there, and the one-use credential that
// was shown is consumed by this very row. All of them are decided in the transaction that
// inserts, so that every replica gives the same answer. Revoking and blocking wait
// for the insertions in flight and are seen by each one that follows.
//
// The issuer is judged in the same place: once a generation is replaced, nothing that an
// authority which is no longer active has signed is written any more ([ErrIssuerInactive]),
// and all that was written before is seen by [Acks].Facts. So a rotation may take "no live
// certificate is left under this issuer" for good. Its writes carry the term of a lease
// ([Fence]): a leader that slept and woke up changes nothing.
//
// Revocations are numbered in the order of their commits ([RevocationLog]), so that what is kept
// of them in memory can follow.
//
// State changes other than issuance carry an [Audit] row, written in the same
// transaction.
package store
