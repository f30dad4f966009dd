SELECT pattern, name, mode, plaintext_dial, version, updated_at, updated_by
FROM mtls_policies
ORDER BY pattern, name
