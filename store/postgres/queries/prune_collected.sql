DELETE FROM collected WHERE not_after < $1
