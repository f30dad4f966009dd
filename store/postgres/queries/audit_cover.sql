UPDATE audit SET link = $1 WHERE seq = ANY($2) AND link IS NULL
