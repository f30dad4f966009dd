DELETE FROM acks WHERE serial = ANY ($1::bytea[])
