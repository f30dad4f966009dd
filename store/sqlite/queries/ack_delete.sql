DELETE FROM acks WHERE serial = ?1
