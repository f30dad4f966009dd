SELECT coalesce(max(g.number), 0) FROM generation AS g
