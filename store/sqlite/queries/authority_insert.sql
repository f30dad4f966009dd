INSERT INTO authorities (
    position, id, role, state, parent_id, certificate, key, state_since,
    cross_parent_id, cross_certificate, sequence, crl_shards
)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
