-- Takes back the certificate that could not consume its credential.
DELETE FROM certificates WHERE serial = ?1
