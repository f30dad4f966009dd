-- Notes that $2 numbers were given; see revocation_insert.sql for $1.
UPDATE revocation_number SET seq = greatest(seq, $1::bigint) + $2::bigint
