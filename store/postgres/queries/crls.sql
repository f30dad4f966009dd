-- A list has changes when there is a revocation of its shard that it does not cover.
SELECT
    c.authority, c.shard, c.shards, c.number, c.this_update, c.next_update, c.entries, c.covers,
    EXISTS (
        SELECT FROM generate_series(c.shard, 255, c.shards) AS o(octet)
        JOIN revocations AS r ON r.issuer = c.authority AND get_byte(r.serial, 4) = o.octet AND r.seq > c.covers
    )
FROM crls AS c
ORDER BY c.authority, c.shard
