SELECT c.shards, c.number, c.this_update, c.next_update, c.entries, c.covers, c.der
FROM crls AS c
WHERE c.authority = $1 AND c.shard = $2
