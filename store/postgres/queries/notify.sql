-- Those who watch are told when this transaction commits.
SELECT pg_notify('pando', '')
