SELECT EXISTS (SELECT 1 FROM revocations AS r WHERE r.serial = ?1)
