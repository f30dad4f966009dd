-- Held by whoever adds to the chain of audit rows, until it has committed: "pandoaud". It is the
-- last lock that a transaction takes, and waits a second and no longer: the one who has it may
-- be cut off. The condition, which sets that, is evaluated first.
SELECT pg_advisory_xact_lock(8097874982633305444)
WHERE set_config('lock_timeout', '1s', true) IS NOT NULL
