SELECT
    i.id, i.created_at, i.actor, i.reason, i.issuers, i.issued_before, i.starts_at, i.deadline, i.rate, i.total, i.closed_at
FROM incidents AS i
ORDER BY i.created_at DESC, i.id DESC
LIMIT ?1
