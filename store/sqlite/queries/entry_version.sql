SELECT version FROM entry_version
