SELECT EXISTS (SELECT FROM authorities AS a WHERE a.id = $1 AND a.state = 'active')
