package rest

import "time"

// RenewalInfo is when a certificate is to be renewed.
type RenewalInfo struct {
	Renewal    Renewal `json:"renewal" doc:"The window. It lies in the past when the certificate is overdue."`
	RetryAfter string  `json:"retry_after" doc:"When to ask again, since the window may move; in the header Retry-After too." example:"300s"`
}

// Identity is a SPIFFE ID and its newest certificate, the one that ends last.
type Identity struct {
	SPIFFEID  string    `json:"spiffe_id" doc:"The SPIFFE ID."`
	State     string    `json:"state" enum:"live,overdue,expired,revoked" doc:"live; overdue: past the end of the renewal window and unexpired; expired: no longer ago than the certificate lived, a day at most; or revoked."`
	Serial    string    `json:"serial" doc:"Serial number of the certificate, as 38 lower-case hex digits."`
	Profile   string    `json:"profile" doc:"Name of the profile that it was issued under."`
	Issuer    string    `json:"issuer" doc:"ID of the authority that signed it."`
	NotBefore time.Time `json:"not_before" doc:"Start of the validity period."`
	NotAfter  time.Time `json:"not_after" doc:"End of the validity period."`
	Renewal   Renewal   `json:"renewal" doc:"When the server wants it renewed."`
}

// IdentityList is a page of a listing. With a state it may hold fewer than were asked for, or none,
// and still not be the last.
type IdentityList struct {
	Identities    []Identity `json:"identities" nullable:"false" doc:"Ordered by SPIFFE ID."`
	NextPageToken string     `json:"next_page_token,omitempty" doc:"Where the next page begins; unset on the last page."`
}
