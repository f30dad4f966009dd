package rest

import "time"

// AuditRow is a change of state.
type AuditRow struct {
	Seq    int64             `json:"seq" doc:"Number of the row, ascending. Numbers may be left out."`
	At     time.Time         `json:"at" doc:"When it was done."`
	Actor  string            `json:"actor" doc:"Who has done it: a SPIFFE ID, the issuer and the subject of a JWT, or a part of Pando."`
	Action string            `json:"action" doc:"What was done, as entry.create."`
	Target string            `json:"target,omitempty" doc:"To what: an identifier."`
	Detail map[string]string `json:"detail,omitempty" doc:"More of it."`
	Link   int64             `json:"link,omitempty" doc:"Place in the chain of hashes, from 1, without gaps. Of a row without a hash: the place of the row that vouches for it; unset: there is none yet."`
	Hash   string            `json:"hash,omitempty" doc:"SHA-256 over the row and the hash of the row before, in hex; unset: an earlier release has written it."`
}

// AuditList is a page of a listing.
type AuditList struct {
	Rows          []AuditRow `json:"rows" nullable:"false" doc:"In the order that was asked for."`
	NextPageToken string     `json:"next_page_token,omitempty" doc:"Where the next page begins; unset on the last page."`
}
