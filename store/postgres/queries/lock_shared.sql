-- Held by every insertion until it has committed: revoking, blocking and deleting wait for it. The key is "pandoiss".
SELECT pg_advisory_xact_lock_shared(8097874982633829235)
