-- The end of the chain.
SELECT link, hash FROM audit WHERE hash IS NOT NULL ORDER BY link DESC LIMIT 1
