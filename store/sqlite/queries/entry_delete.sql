DELETE FROM entries WHERE id = ?1
