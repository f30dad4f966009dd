DELETE FROM mtls_reports WHERE not_after < $1
