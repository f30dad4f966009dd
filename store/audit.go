package store

import (
	"encoding/json"
	"time"
)

// Audit is the row that every change of configuration or state leaves, in the same
// transaction as the change. The rows are chained; see [AuditVerifier].
type Audit struct {
	Seq    int64 // set by the store; ascending in the order of the chain
	At     time.Time
	Actor  string            // who: a SPIFFE ID, issuer and subject, or "pando init"
	Action string            // what: entry.create, token.create, generation.replace, …
	Target string            // to what: an ID
	Detail map[string]string // more, never a secret

	// Link is the place in the chain, set by the store: 1 for the first row, and one more for
	// each that follows. A row that an earlier release has written has no Hash, and the Link of
	// the row that vouches for it; 0 as long as there is none.
	Link int64
	Hash []byte // SHA-256, over this row and the Hash of the one before; set by the store
}

// ActionCover is the Action of a row that vouches for rows of an earlier release, which have no
// hash of their own.
const ActionCover = "audit.cover"

// ActorStore is the Actor of rows that a store adds by itself.
const ActorStore = "pando"

// AuditFilter selects audit rows. Zero fields select everything.
type AuditFilter struct {
	Actor  string
	Action string
	Target string
	Since  time.Time // this moment and later
	Until  time.Time // before this moment

	Oldest bool  // the oldest first; otherwise the newest
	After  int64 // where the page before has ended: its last Seq; 0: this is the first
	Limit  int
}

// AuditDetail reads the detail of a row as a database has it. It takes whatever somebody may
// have put there by hand, so that one such row does not hide the others: what is no string is
// shown as the JSON that it is, and what is no object under the empty name.
func AuditDetail(raw []byte) map[string]string {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(raw, &values); err != nil {
		return map[string]string{"": string(raw)}
	}
	if len(values) == 0 {
		return nil
	}
	detail := make(map[string]string, len(values))
	for name, value := range values {
		var text string
		if err := json.Unmarshal(value, &text); err != nil {
			text = string(value)
		}
		detail[name] = text
	}
	return detail
}
