DELETE FROM mtls_overrides WHERE expires_at < $1
