UPDATE entry_version SET version = version + 1
