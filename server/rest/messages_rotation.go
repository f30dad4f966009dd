package rest

import "time"

// TrustResponse is the current trust bundle, whether or not it is newer than what was asked.
type TrustResponse struct {
	Bundle  *Bundle  `json:"bundle" doc:"The bundle."`
	Renewal *Renewal `json:"renewal,omitempty" doc:"With a client certificate of Pando's: when the server wants it renewed."`

	Revocations *Revocations `json:"revocations,omitempty" doc:"What was revoked after revocations_after. Unset when that is, and for moments after the start of a server."`

	MTLS *MTLS `json:"mtls,omitempty" doc:"With a client certificate and mtls_version: the mTLS policy for its SPIFFE ID."`
}

// Authority is a root or an intermediate, and where it stands in its life.
type Authority struct {
	ID          string     `json:"id" doc:"Identifier: the start of the SHA-256 of the certificate, as 16 lower-case hex digits." example:"fdd0f9ad3f38ebc1"`
	Role        string     `json:"role" enum:"root,intermediate" doc:"What it is for."`
	State       string     `json:"state" enum:"prepared,active,retiring,retired,tainted,revoked" doc:"Where it stands in its life."`
	ParentID    string     `json:"parent_id,omitempty" doc:"The authority that signed it; unset for a root."`
	NotBefore   time.Time  `json:"not_before" doc:"Start of the validity period."`
	NotAfter    time.Time  `json:"not_after" doc:"End of the validity period."`
	StateSince  *time.Time `json:"state_since,omitempty" doc:"Since when it has the state."`
	Fingerprint string     `json:"fingerprint" doc:"SHA-256 of the certificate as lower-case hex digits."`
	Certificate string     `json:"certificate" doc:"The certificate in PEM."`
	Sequence    uint64     `json:"sequence,omitempty" doc:"Of a root: sequence of the first bundle that held it."`
	Waiting     string     `json:"waiting,omitempty" doc:"What its next step waits for, for people; unset when it waits for nothing."`
	OpensAt     *time.Time `json:"opens_at,omitempty" doc:"When its next step is taken at the latest; unset when that is not known."`
	Live        int32      `json:"live,omitempty" doc:"Of one that retires or is tainted: live certificates that it waits for; unset: none."`
	Followers   int32      `json:"followers,omitempty" doc:"Of a prepared root: live certificates whose holders follow the bundle; unset: none."`
	Behind      int32      `json:"behind,omitempty" doc:"Of a prepared root: those of the followers that have not acknowledged it; unset: none."`

	CRLThisUpdate *time.Time `json:"crl_this_update,omitempty" doc:"When its CRL was issued, of several shards the earliest; unset while it publishes none."`
	CRLNextUpdate *time.Time `json:"crl_next_update,omitempty" doc:"When its CRL ends, of several shards the earliest."`
	CRLEntries    int32      `json:"crl_entries,omitempty" doc:"Certificates on its CRL, over all shards; unset: none."`
}

// AuthorityList is all authorities.
type AuthorityList struct {
	Authorities []Authority `json:"authorities" nullable:"false" doc:"In the order in which they were made."`
}

// AuthorityCSRRequest asks for the request of an intermediate that somebody else is to sign.
type AuthorityCSRRequest struct {
	Renew bool `json:"renew,omitempty" doc:"Whether to give up a request that waits already, with its key."`
}

// AuthorityCSR is a key of an intermediate that waits for its certificate.
type AuthorityCSR struct {
	Role      string    `json:"role" enum:"intermediate" doc:"What the key is for."`
	CSR       string    `json:"csr" doc:"Certification request (PKCS #10) in PEM."`
	CreatedAt time.Time `json:"created_at" doc:"When it was made."`
	CreatedBy string    `json:"created_by" doc:"Who asked for it."`
}

// ImportAuthorityRequest holds an intermediate that was signed for a request.
type ImportAuthorityRequest struct {
	Chain string `json:"chain" doc:"The intermediate in PEM, and behind it its root, which may be left out when it is an authority already."`
}

// Job is work that recurs, as the replica that answers knows it.
type Job struct {
	Name         string     `json:"name" doc:"Name of the job." example:"rotate"`
	Schedule     string     `json:"schedule" doc:"Cron expression in UTC, or @every and an interval." example:"@every 10s"`
	NextRun      time.Time  `json:"next_run" doc:"When it runs next."`
	Running      bool       `json:"running,omitempty" doc:"Whether it is running now; unset: it is not."`
	LastSuccess  *time.Time `json:"last_success,omitempty" doc:"End of the last run that succeeded; unset when there is none since the replica started."`
	LastDuration string     `json:"last_duration,omitempty" doc:"How long the last run took, whatever became of it; unset when there is none." example:"0.25s"`
	LastError    string     `json:"last_error,omitempty" doc:"What the last run failed with; unset when it succeeded."`
	Succeeded    uint64     `json:"succeeded,omitempty" doc:"Runs that succeeded since the replica started; unset: none."`
	Failed       uint64     `json:"failed,omitempty" doc:"Runs that failed since then; unset: none."`
	Skipped      uint64     `json:"skipped,omitempty" doc:"Runs that were due since then while an earlier one was running; unset: none."`
}

// JobList is all jobs.
type JobList struct {
	Jobs []Job `json:"jobs" nullable:"false" doc:"In the order in which they were configured."`
}
