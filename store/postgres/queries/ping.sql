-- Where writes are accepted it writes, to the log of the database alone: the message is nobody's,
-- and its commit waits for what every commit waits for, a disk and perhaps a standby.
SELECT
    pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean,
    CASE WHEN NOT (pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean)
        THEN pg_logical_emit_message(true, 'pando', 'ping') IS NOT NULL END
