-- A list has changes when there is a revocation of its shard that it does not cover.
WITH RECURSIVE octets(octet) AS (SELECT 0 UNION ALL SELECT o.octet + 1 FROM octets AS o WHERE o.octet < 255)
SELECT
    c.authority, c.shard, c.shards, c.number, c.this_update, c.next_update, c.entries, c.covers,
    EXISTS (
        SELECT 1 FROM octets AS o
        CROSS JOIN revocations AS r ON r.issuer = c.authority AND hex(substr(r.serial, 5, 1)) = printf('%02X', o.octet) AND r.seq > c.covers
        WHERE o.octet % c.shards = c.shard
    )
FROM crls AS c
ORDER BY c.authority, c.shard
