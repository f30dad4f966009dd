-- Waits for the insertions in flight; those that come later wait for this transaction, and
-- take their snapshot after it. It waits a second and no longer: insertions queue behind it,
-- and one in flight may belong to a process that is stopped or cut off. The condition, which
-- sets that, is evaluated first.
SELECT pg_advisory_xact_lock(8097874982633829235)
WHERE set_config('lock_timeout', '1s', true) IS NOT NULL
