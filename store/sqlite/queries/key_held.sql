SELECT count(*) FROM authorities AS a WHERE a.key = ?1
