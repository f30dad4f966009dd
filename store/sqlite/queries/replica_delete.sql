DELETE FROM replicas WHERE name = ?1
