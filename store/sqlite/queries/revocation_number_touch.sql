-- Moves the number if the set of revoked authorities is about to change. ?1 is their IDs in the
-- next generation, sorted and separated by commas.
UPDATE revocation_number
SET seq = seq + 1
WHERE ?1 <> (
    SELECT coalesce(group_concat(a.id, ',' ORDER BY a.id), '')
    FROM authorities AS a
    WHERE a.state = 'revoked'
)
