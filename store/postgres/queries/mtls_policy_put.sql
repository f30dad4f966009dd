INSERT INTO mtls_policies (pattern, name, mode, plaintext_dial, version, updated_at, updated_by)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (pattern, name) DO UPDATE
SET mode = excluded.mode, plaintext_dial = excluded.plaintext_dial, version = excluded.version,
    updated_at = excluded.updated_at, updated_by = excluded.updated_by
