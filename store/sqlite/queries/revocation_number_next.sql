-- Notes that ?2 numbers were given; see revocation_insert.sql for ?1.
UPDATE revocation_number SET seq = max(seq, ?1) + ?2
