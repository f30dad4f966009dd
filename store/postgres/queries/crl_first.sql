INSERT INTO crls (authority, shard, shards, number, this_update, next_update, entries, covers, der)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT DO NOTHING
