UPDATE crls
SET shards = $3, number = $4, this_update = $5, next_update = $6, entries = $7, covers = $8, der = $9
WHERE authority = $1 AND shard = $2 AND number = $10
