// Package server holds the use cases of Pando, free of any transport: issue, renew, look
// up, keep entries and join tokens, hand out the trust bundle. The doors, server/rest and
// server/rpc, decode a request, ask server/auth who the caller is, and call one method here.
//
// [Service.Issue] is the way from a CSR to a certificate, in the order in which it must
// happen: parse strictly, decide on the exact certificate, sign, write the record, and only
// then answer. If the process dies before the record is durable, nothing has left it; if it
// dies after, a record without a holder remains, which is harmless.
//
// Memory follows the database: the authorities are one immutable snapshot ([ca.Set]) that is
// swapped as a whole ([Service.Follow]), and the entries are re-read when their version
// changes. Whatever a replica has not seen yet is caught by the statement that inserts the
// record.
//
// So are the revocations: a replica keeps the numbers of the unexpired ones in memory, to tell
// of them and to refuse early. What a revocation means for a renewal is decided by that
// statement alone. What programs are told about mutual TLS is re-read as the entries are.
//
// [Service.Trust] closes the circle of a rotation: a holder waits there for the next trust
// bundle, and by asking again says that it has got it.
//
// Where a door traces a request, the parts of it are spans in its trace: see [Step].
package server
