-- $1 is now in seconds since 1970. Holders of a trust bundle take none with a lower sequence than they
-- know, and that may be one from the time that is lost.
UPDATE generation SET number = number + 1, sequence = greatest(sequence + 1, $1::bigint), published_at = clock_timestamp()
