SELECT version FROM mtls_version
