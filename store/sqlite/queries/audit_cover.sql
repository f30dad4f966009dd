UPDATE audit SET link = ?1 WHERE seq = ?2 AND link IS NULL
