DELETE FROM authorities
