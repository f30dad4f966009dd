SELECT count(*) FROM mtls_overrides WHERE ended_at IS NULL AND expires_at > $1
