-- An incident does not change but for its end.
INSERT INTO incidents (
    id, created_at, actor, reason, issuers, issued_before, starts_at, deadline, rate, total, closed_at
)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
ON CONFLICT (id) DO UPDATE SET closed_at = excluded.closed_at
