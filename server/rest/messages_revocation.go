package rest

// Revocations is what has been revoked since a sequence.
type Revocations struct {
	Sequence    uint64   `json:"sequence" doc:"To be sent as revocations_after the next time."`
	Serials     []string `json:"serials" nullable:"false" doc:"Serial numbers, as 38 lower-case hex digits, of unexpired certificates that were revoked after revocations_after; at most 10 000."`
	Authorities []string `json:"authorities" nullable:"false" doc:"Every authority that is revoked and has not expired: the SHA-256 of its SubjectPublicKeyInfo as lower-case hex digits. Always all of them."`
	More        bool     `json:"more" doc:"There are more serial numbers: ask again at once."`
	Reset       bool     `json:"reset" doc:"The server knows of fewer revocations than the caller, since its database was restored: those that the caller has count no more, and it begins with these."`
}

// RevokeRequest says why a certificate is revoked.
type RevokeRequest struct {
	Reason string `json:"reason,omitempty" enum:"unspecified,key_compromise,affiliation_changed,superseded,cessation_of_operation,privilege_withdrawn" doc:"Reason (RFC 5280, section 5.3.1); unset: unspecified. With key_compromise the public key is blocked, too."`
}

// RevocationRequest selects certificates to revoke. Exactly one of the first three is set.
type RevocationRequest struct {
	SPIFFEID string `json:"spiffe_id,omitempty" doc:"All of this SPIFFE ID." example:"spiffe://example.org/web"`
	Issuer   string `json:"issuer,omitempty" doc:"All that were signed by the intermediate with this ID. It must not be active."`
	KeyHash  string `json:"key_hash,omitempty" doc:"All with the key of which this is the SHA-256 of the SubjectPublicKeyInfo, as hex digits. The key is blocked, too."`
	Reason   string `json:"reason,omitempty" enum:"unspecified,key_compromise,affiliation_changed,superseded,cessation_of_operation,privilege_withdrawn" doc:"Reason (RFC 5280, section 5.3.1); unset: unspecified. With key_compromise the public keys are blocked, too."`
	DryRun   bool   `json:"dry_run,omitempty" doc:"Change nothing, and say what would be revoked."`
}

// RevocationResponse is what was revoked.
type RevocationResponse struct {
	Certificates int32 `json:"certificates" doc:"Certificates that were revoked; with dry_run, that would be."`
	Identities   int32 `json:"identities,omitempty" doc:"With dry_run: SPIFFE IDs in them; unset: none."`
	More         bool  `json:"more,omitempty" doc:"The time for one request was over before all were revoked: ask again, to go on; unset: all are."`
}
