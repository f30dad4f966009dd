-- Runs in a transaction that has taken the lock for writing.
SELECT count(*) FROM entry_version
