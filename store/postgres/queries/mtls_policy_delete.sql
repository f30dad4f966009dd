DELETE FROM mtls_policies WHERE pattern = $1 AND name = $2
