-- One replica at a time makes partitions, and one drops them. Held by the session. The key is "pandopar", plus one for dropping: an
-- insertion that needs a partition must not wait until an old one is dropped. It is tried and not waited for: the snapshot of
-- a statement that waits would hold up the end of a detachment, which may hold up whoever has the lock.
SELECT pg_try_advisory_lock(8097874982634283378 + $1::bigint)
