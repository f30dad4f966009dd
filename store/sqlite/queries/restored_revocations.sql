-- ?1 is now in microseconds since 1970. Who has seen revocations in the time that is lost keeps them,
-- as long as the number does not go back.
UPDATE revocation_number SET seq = max(seq + 1, ?1)
