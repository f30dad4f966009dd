SELECT EXISTS (SELECT 1 FROM authorities AS a WHERE a.id = ?1 AND a.state = 'active')
