DELETE FROM crls AS c WHERE NOT EXISTS (SELECT FROM authorities AS a WHERE a.id = c.authority)
