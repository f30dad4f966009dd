-- The row is locked until the transaction ends: changes happen one after the other. $1 is the time
-- in microseconds, so that a restored database gives no number twice.
UPDATE mtls_version SET version = greatest(version + 1, $1) RETURNING version
