// Package door is what the two doors, server/rest and server/rpc, have in common and must
// not do differently: who may pass, the number that a request is known by, the one line that
// it leaves in the log, and the words in which a failure is told. Each door adds only its
// own protocol, and the mapping from kinds of failure to that protocol's statuses.
//
// A [Gate] admits a request before its body is looked at. It denies by default: a request
// for no known operation is refused, and so is one without credentials unless the operation
// is open to everybody.
package door
