package rest

import "time"

// MTLS is what the programs with one SPIFFE ID do.
type MTLS struct {
	Version   string               `json:"version" doc:"Version of the contents, to be sent as mtls_version the next time: at most 64 hex digits, never empty."`
	Rules     []MTLSRule           `json:"rules" nullable:"false" doc:"At most one for each name, at most 100. A listener or dialer goes by the rule with its name, or else by the one without; if there is none, it is strict and dials no plaintext."`
	Overrides []MTLSActiveOverride `json:"overrides" nullable:"false" doc:"Those in force, at most 20."`
}

// MTLSRule says what listeners and dialers with a name do.
type MTLSRule struct {
	Name          string `json:"name" doc:"Name of the listener or dialer; empty: all for which there is no other rule."`
	Mode          string `json:"mode" enum:"strict,permissive,disabled" doc:"Mode of listeners that follow policy."`
	PlaintextDial bool   `json:"plaintext_dial" doc:"Whether dialers whose code allows plaintext may use it."`
}

// MTLSActiveOverride lets plaintext in until it expires.
type MTLSActiveOverride struct {
	ID        string    `json:"id" doc:"Identifier."`
	Name      string    `json:"name" doc:"Name of the listener or dialer; empty: all."`
	Side      string    `json:"side" enum:"listen,dial,both" doc:"Which end of connections it is about."`
	ExpiresAt time.Time `json:"expires_at" doc:"When it ends by itself."`
	Reason    string    `json:"reason" doc:"Why."`
}

// MTLSPolicy is a rule for the programs under a pattern. Pattern and name together are its key.
type MTLSPolicy struct {
	Pattern       string    `json:"pattern" doc:"Pattern of SPIFFE ID paths: * stands for any one segment, ** at the end for any rest." example:"/ns/prod/**"`
	Name          string    `json:"name,omitempty" doc:"Name of the listeners and dialers; unset: all."`
	Mode          string    `json:"mode" enum:"strict,permissive,disabled" doc:"Mode of listeners that follow policy."`
	PlaintextDial bool      `json:"plaintext_dial,omitempty" doc:"Whether dialers whose code allows plaintext may use it; unset: they may not."`
	Version       uint64    `json:"version" doc:"Changes whenever the policy does."`
	UpdatedAt     time.Time `json:"updated_at" doc:"When it was last changed."`
	UpdatedBy     string    `json:"updated_by" doc:"Who did that."`
}

// MTLSPolicyList is a part of the policies.
type MTLSPolicyList struct {
	Policies      []MTLSPolicy `json:"policies" nullable:"false" doc:"Ordered by pattern and name."`
	NextPageToken string       `json:"next_page_token,omitempty" doc:"Unset on the last page."`
}

// MTLSPolicyRequest is a policy that is wanted.
type MTLSPolicyRequest struct {
	Pattern       string  `json:"pattern" doc:"Pattern of SPIFFE ID paths. Identities under /pando/ have none." example:"/ns/prod/**"`
	Name          string  `json:"name,omitempty" doc:"Name of the listeners and dialers, at most 63 of a-z, 0-9, '.', '_' and '-'; unset: all."`
	Mode          string  `json:"mode" enum:"strict,permissive,disabled" doc:"Mode of listeners that follow policy."`
	PlaintextDial bool    `json:"plaintext_dial,omitempty" doc:"Whether dialers whose code allows plaintext may use it."`
	Version       *uint64 `json:"version,omitempty" doc:"Version of the policy that the caller has seen, 0 when there was none: another one is a conflict. Unset: whatever there is is replaced."`
}

// MTLSOverride lets plaintext in for a while: listeners that follow policy are permissive, dialers
// whose code allows plaintext use it.
type MTLSOverride struct {
	ID         string     `json:"id" doc:"Identifier; of a dry run, one that means nothing."`
	Pattern    string     `json:"pattern" doc:"Pattern of SPIFFE ID paths."`
	Name       string     `json:"name,omitempty" doc:"Name of the listeners and dialers; unset: all."`
	Side       string     `json:"side" enum:"listen,dial,both" doc:"Which end of connections it is about."`
	Reason     string     `json:"reason" doc:"Why."`
	StartedAt  time.Time  `json:"started_at" doc:"When it began."`
	StartedBy  string     `json:"started_by" doc:"Who began it."`
	ExpiresAt  time.Time  `json:"expires_at" doc:"When it ends by itself."`
	EndedAt    *time.Time `json:"ended_at,omitempty" doc:"When it was ended by hand; unset: it was not."`
	EndedBy    string     `json:"ended_by,omitempty" doc:"Who ended it."`
	EndReason  string     `json:"end_reason,omitempty" doc:"Why it was ended."`
	DryRun     bool       `json:"dry_run,omitempty" doc:"Whether nothing was done."`
	Identities int32      `json:"identities,omitempty" doc:"Of a dry run: live identities that the pattern matches; unset: none."`
	More       bool       `json:"more,omitempty" doc:"Of a dry run: there are too many identities to look at all of them, so that more may match."`
}

// MTLSOverrideList is overrides.
type MTLSOverrideList struct {
	Overrides []MTLSOverride `json:"overrides" nullable:"false" doc:"Those that began last first."`
}

// MTLSOverrideRequest is an override that is wanted.
type MTLSOverrideRequest struct {
	Pattern  string  `json:"pattern" doc:"Pattern of SPIFFE ID paths. Identities under /pando/ have no overrides." example:"/ns/prod/**"`
	Name     string  `json:"name,omitempty" doc:"Name of the listeners and dialers; unset: all."`
	Side     string  `json:"side,omitempty" enum:"listen,dial,both" doc:"Which end of connections it is about; unset: both."`
	Duration *string `json:"duration,omitempty" doc:"How long it lasts, an hour at most; unset: half an hour." example:"1800s"`
	Reason   string  `json:"reason" doc:"Why: one line of at most 200 octets, which the programs are told."`
	DryRun   bool    `json:"dry_run,omitempty" doc:"Do nothing, and say how many live identities the pattern matches."`
}

// EffectiveMTLS is what the programs with one SPIFFE ID are told, and why.
type EffectiveMTLS struct {
	SPIFFEID  string                  `json:"spiffe_id" doc:"The SPIFFE ID."`
	Version   string                  `json:"version" doc:"Version that they are told."`
	Rules     []EffectiveMTLSRule     `json:"rules" nullable:"false" doc:"The policies that decide, at most one for each name, ordered by name. None: strict."`
	Overruled []EffectiveMTLSRule     `json:"overruled" nullable:"false" doc:"The policies that match and decide nothing, the narrowest first."`
	Overrides []EffectiveMTLSOverride `json:"overrides" nullable:"false" doc:"The overrides in force."`
}

// EffectiveMTLSRule is a policy that matches an identity.
type EffectiveMTLSRule struct {
	Pattern       string `json:"pattern" doc:"Its pattern."`
	Name          string `json:"name,omitempty" doc:"Name of the listeners and dialers; unset: all."`
	Mode          string `json:"mode" enum:"strict,permissive,disabled" doc:"Mode of listeners that follow policy."`
	PlaintextDial bool   `json:"plaintext_dial,omitempty" doc:"Whether dialers whose code allows plaintext may use it."`
}

// EffectiveMTLSOverride is an override in force on an identity.
type EffectiveMTLSOverride struct {
	ID        string    `json:"id" doc:"Identifier."`
	Pattern   string    `json:"pattern" doc:"Its pattern."`
	Name      string    `json:"name,omitempty" doc:"Name of the listeners and dialers; unset: all."`
	Side      string    `json:"side" enum:"listen,dial,both" doc:"Which end of connections it is about."`
	ExpiresAt time.Time `json:"expires_at" doc:"When it ends by itself."`
	Reason    string    `json:"reason" doc:"Why."`
}

// MTLSReadinessList is a part of the listeners.
type MTLSReadinessList struct {
	Listeners     []MTLSReadiness `json:"listeners" nullable:"false" doc:"Ordered by SPIFFE ID and name. A page may hold less than was asked for, or nothing, and not be the last one."`
	NextPageToken string          `json:"next_page_token,omitempty" doc:"Unset on the last page."`
}

// MTLSReadiness is whether the listeners with one name, of all programs with a SPIFFE ID, could be
// strict.
type MTLSReadiness struct {
	SPIFFEID      string     `json:"spiffe_id" doc:"The SPIFFE ID."`
	Listener      string     `json:"listener" doc:"Name of the listener."`
	Ready         bool       `json:"ready" doc:"Whether nothing stands against it."`
	Reasons       []string   `json:"reasons,omitempty" nullable:"false" enum:"plaintext,not_observed,no_mtls,override,too_many_instances" doc:"What stands against it: some instance accepted plaintext in that time; for a part of the time no instance reports; nobody connected by mutual TLS in it; an override is in force; there are more instances than are kept, so that some are missing."`
	Instances     int32      `json:"instances" doc:"Instances that are there now."`
	Modes         []string   `json:"modes,omitempty" nullable:"false" doc:"Modes of these, the strictest first."`
	ObservedSince *time.Time `json:"observed_since,omitempty" doc:"Since when there has been an instance that reports, without a gap; unset: there is none now."`
	LastMTLS      *time.Time `json:"last_mtls,omitempty" doc:"Last connection by mutual TLS; unset: none is known."`
	LastPlaintext *time.Time `json:"last_plaintext,omitempty" doc:"Last connection in plaintext; unset: none is known."`
}

// MTLSReportRequest is what one instance of a program says of its listeners.
type MTLSReportRequest struct {
	Instance  string         `json:"instance" doc:"16 lower-case hex digits, drawn when the program started." example:"0123456789abcdef"`
	Listeners []MTLSListener `json:"listeners" nullable:"false" doc:"At most 64."`
}

// MTLSListener is what has been seen on one listener, by the clock of the program.
type MTLSListener struct {
	Name          string     `json:"name,omitempty" doc:"Its name, each once; unset: default."`
	Mode          string     `json:"mode" enum:"strict,permissive,disabled" doc:"Mode in force."`
	From          string     `json:"from" enum:"code,policy,override,local" doc:"Who has decided on it."`
	ObservedSince time.Time  `json:"observed_since" doc:"What came before is not known."`
	LastMTLS      *time.Time `json:"last_mtls,omitempty" doc:"Last connection by mutual TLS; unset: none yet."`
	LastPlaintext *time.Time `json:"last_plaintext,omitempty" doc:"Last connection in plaintext; unset: none yet."`
}
