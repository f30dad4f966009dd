package store

import "slices"

// FirstBackup is the schema of the oldest backups that there are: that which brought milestones.
const FirstBackup = 10

// TablesAt is the tables of a backup of this schema, with the columns that they have there.
func TablesAt(schema int64) []Table {
	var tables []Table
	for _, t := range BackedUp() {
		if t.Since > schema {
			continue
		}
		t.Columns = slices.DeleteFunc(t.Columns, func(c Column) bool { return c.Since > schema })
		tables = append(tables, t)
	}
	return tables
}

// BackedUp is the tables that a backup holds, those that others refer to first. Whoever adds a
// table or a column adds it here, with Since, or to LeftOut; a test compares both with the schemas.
func BackedUp() []Table {
	return []Table{
		{Name: "generation", Columns: []Column{
			{Name: "number", Kind: KindInt}, {Name: "trust_domain", Kind: KindText}, {Name: "sequence", Kind: KindInt},
			{Name: "published_at", Kind: KindTime}, {Name: "window_key", Kind: KindOctets},
		}},
		{Name: "authorities", Columns: []Column{
			{Name: "position", Kind: KindInt}, {Name: "id", Kind: KindText}, {Name: "role", Kind: KindText},
			{Name: "state", Kind: KindText}, {Name: "parent_id", Kind: KindText}, {Name: "certificate", Kind: KindOctets},
			{Name: "key", Kind: KindOctets}, {Name: "state_since", Kind: KindTime}, {Name: "cross_parent_id", Kind: KindText},
			{Name: "cross_certificate", Kind: KindOctets}, {Name: "sequence", Kind: KindInt}, {Name: "crl_shards", Kind: KindInt},
		}},
		{Name: "authority_requests", Columns: []Column{
			{Name: "role", Kind: KindText}, {Name: "key", Kind: KindOctets}, {Name: "csr", Kind: KindOctets},
			{Name: "created_at", Kind: KindTime}, {Name: "created_by", Kind: KindText},
		}},
		{Name: "key_intents", Columns: []Column{
			{Name: "reference", Kind: KindOctets}, {Name: "created_at", Kind: KindTime}, {Name: "doomed", Kind: KindBool},
		}},
		{Name: "incidents", Columns: []Column{
			{Name: "id", Kind: KindText}, {Name: "created_at", Kind: KindTime}, {Name: "actor", Kind: KindText},
			{Name: "reason", Kind: KindText}, {Name: "issuers", Kind: KindList}, {Name: "issued_before", Kind: KindTime},
			{Name: "starts_at", Kind: KindTime}, {Name: "deadline", Kind: KindTime}, {Name: "rate", Kind: KindFloat},
			{Name: "total", Kind: KindInt}, {Name: "closed_at", Kind: KindTime, Nullable: true},
		}},
		{Name: "entries", Columns: []Column{
			{Name: "id", Kind: KindText}, {Name: "spiffe_id", Kind: KindText}, {Name: "dns_names", Kind: KindList},
			{Name: "profile", Kind: KindText}, {Name: "method", Kind: KindText}, {Name: "issuer", Kind: KindText},
			{Name: "claims", Kind: KindMap}, {Name: "created_at", Kind: KindTime}, {Name: "created_by", Kind: KindText},
			{Name: "pre_renew", Kind: KindBool}, {Name: "watch", Kind: KindBool},
		}},
		{Name: "entry_version", Seeded: true, Columns: []Column{{Name: "version", Kind: KindInt}}},
		{Name: "mtls_policies", Columns: []Column{
			{Name: "pattern", Kind: KindText}, {Name: "name", Kind: KindText}, {Name: "mode", Kind: KindText},
			{Name: "plaintext_dial", Kind: KindBool}, {Name: "version", Kind: KindInt},
			{Name: "updated_at", Kind: KindTime}, {Name: "updated_by", Kind: KindText},
		}},
		{Name: "mtls_version", Seeded: true, Columns: []Column{{Name: "version", Kind: KindInt}}},
		{Name: "tokens", Columns: []Column{
			{Name: "id", Kind: KindText}, {Name: "hash", Kind: KindOctets}, {Name: "entry_id", Kind: KindText},
			{Name: "created_at", Kind: KindTime}, {Name: "created_by", Kind: KindText}, {Name: "expires_at", Kind: KindTime},
			{Name: "used_at", Kind: KindTime, Nullable: true}, {Name: "used_by", Kind: KindOctets, Nullable: true},
			{Name: "used_key", Kind: KindOctets, Nullable: true},
		}},
		{Name: "replays", Columns: []Column{{Name: "digest", Kind: KindOctets}, {Name: "expires_at", Kind: KindTime}}},
		{Name: "revocations", Columns: []Column{
			{Name: "serial", Kind: KindOctets}, {Name: "issuer", Kind: KindText}, {Name: "not_after", Kind: KindTime},
			{Name: "revoked_at", Kind: KindTime}, {Name: "reason", Kind: KindInt}, {Name: "seq", Kind: KindInt},
		}},
		{Name: "revocation_number", Seeded: true, Columns: []Column{{Name: "seq", Kind: KindInt}}},
		{Name: "blocked_keys", Columns: []Column{{Name: "key_hash", Kind: KindOctets}, {Name: "blocked_at", Kind: KindTime}}},
		{Name: "crls", Columns: []Column{
			{Name: "authority", Kind: KindText}, {Name: "shard", Kind: KindInt}, {Name: "shards", Kind: KindInt},
			{Name: "number", Kind: KindInt}, {Name: "this_update", Kind: KindTime}, {Name: "next_update", Kind: KindTime},
			{Name: "entries", Kind: KindInt}, {Name: "covers", Kind: KindInt}, {Name: "der", Kind: KindOctets},
		}},
		{Name: "leases", Columns: []Column{
			{Name: "name", Kind: KindText}, {Name: "holder", Kind: KindText}, {Name: "term", Kind: KindInt},
			{Name: "expires_at", Kind: KindTime},
		}},
		{Name: "audit", Columns: []Column{
			{Name: "seq", Kind: KindInt}, {Name: "at", Kind: KindTime}, {Name: "actor", Kind: KindText},
			{Name: "action", Kind: KindText}, {Name: "target", Kind: KindText}, {Name: "detail", Kind: KindMap},
			{Name: "link", Kind: KindInt, Nullable: true, Since: 11}, {Name: "hash", Kind: KindOctets, Nullable: true, Since: 11},
		}},
		{Name: "acks", Expires: true, Columns: []Column{
			{Name: "serial", Kind: KindOctets}, {Name: "sequence", Kind: KindInt, Nullable: true}, {Name: "not_after", Kind: KindTime},
		}},
		{Name: "collected", Expires: true, Columns: []Column{
			{Name: "serial", Kind: KindOctets}, {Name: "not_after", Kind: KindTime},
		}},
		{Name: "mtls_reports", Expires: true, Columns: []Column{
			{Name: "spiffe_id", Kind: KindText}, {Name: "listener", Kind: KindText}, {Name: "instance", Kind: KindText},
			{Name: "mode", Kind: KindText}, {Name: "source", Kind: KindText}, {Name: "observed_since", Kind: KindTime},
			{Name: "last_mtls", Kind: KindTime, Nullable: true}, {Name: "last_plaintext", Kind: KindTime, Nullable: true},
			{Name: "reported_at", Kind: KindTime}, {Name: "not_after", Kind: KindTime},
		}},
		{Name: "certificates", Expires: true, Columns: []Column{
			{Name: "serial", Kind: KindOctets}, {Name: "spiffe_id", Kind: KindText}, {Name: "dns_names", Kind: KindText},
			{Name: "profile", Kind: KindText}, {Name: "issuer", Kind: KindText}, {Name: "key_hash", Kind: KindOctets},
			{Name: "key_algorithm", Kind: KindText}, {Name: "issued_at", Kind: KindTime}, {Name: "not_before", Kind: KindTime},
			{Name: "not_after", Kind: KindTime}, {Name: "method", Kind: KindText}, {Name: "caller", Kind: KindText},
			{Name: "address", Kind: KindText}, {Name: "entry_id", Kind: KindText}, {Name: "replaces", Kind: KindOctets},
			{Name: "request_id", Kind: KindText}, {Name: "certificate", Kind: KindOctets},
		}},
	}
}

// LeftOut is the tables, and the columns as table.column, that no backup holds, and why.
func LeftOut() map[string]string {
	return map[string]string{
		"figures":               "counted anew within a minute",
		"mtls_overrides":        "over within an hour; one that was ended since must not begin anew",
		"milestones":            "speaks of this database, not of the CA; a restore sets its own",
		"schema_compatibility":  "comes with the schema",
		"replicas":              "speaks of the processes that run now",
		"schema_version":        "kept by the migrations; the backup says of which schema it is",
		"generation.one":        "fills itself",
		"entry_version.one":     "fills itself",
		"mtls_version.one":      "fills itself",
		"revocation_number.one": "fills itself",
	}
}
