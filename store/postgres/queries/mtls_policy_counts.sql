SELECT count(*), count(DISTINCT nullif(name, '')) FROM mtls_policies
