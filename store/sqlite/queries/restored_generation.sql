-- ?1 is now in seconds since 1970, and ?2 in microseconds. Holders of a trust bundle take none with a
-- lower sequence than they know, and that may be one from the time that is lost.
UPDATE generation SET number = number + 1, sequence = max(sequence + 1, ?1), published_at = ?2
