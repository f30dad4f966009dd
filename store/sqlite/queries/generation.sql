SELECT
    g.number, g.trust_domain, g.sequence, g.published_at, g.window_key,
    a.id, a.role, a.state, a.parent_id, a.certificate, a.key, a.state_since,
    a.cross_parent_id, a.cross_certificate, a.sequence, a.crl_shards
FROM generation AS g
LEFT JOIN authorities AS a ON true
ORDER BY a.position
