SELECT pg_advisory_unlock(8097874982634283378 + $1::bigint)
