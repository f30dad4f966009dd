DELETE FROM replays WHERE expires_at < ?1
