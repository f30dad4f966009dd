-- Waits for the insertions in flight; those that come later wait for this transaction, and
-- take their snapshot after it.
SELECT pg_advisory_xact_lock(8097874982633829235)
