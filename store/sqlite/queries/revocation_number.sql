SELECT seq FROM revocation_number
