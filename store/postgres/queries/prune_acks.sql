DELETE FROM acks WHERE not_after < $1
