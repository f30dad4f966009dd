DELETE FROM crls WHERE authority NOT IN (SELECT a.id FROM authorities AS a)
