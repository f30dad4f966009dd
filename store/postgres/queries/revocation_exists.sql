SELECT EXISTS (SELECT FROM revocations AS r WHERE r.serial = $1)
