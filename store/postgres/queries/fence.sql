-- The lease cannot change hands until this transaction has ended.
SELECT l.term FROM leases AS l WHERE l.name = $1 AND l.term = $2 FOR SHARE
