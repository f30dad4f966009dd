-- Each connection starts with this. A row that was reported as written is durable. Statements
-- are planned once: planning an insertion costs as much as inserting a few rows, and the
-- planner would do it each time for small batches, since it believes that those gain by it.
SELECT
    CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', false) END,
    -- What an insertion judges must be what has been committed when it got the lock. Under a
    -- stricter isolation its snapshot would be older than that.
    set_config('default_transaction_isolation', 'read committed', false),
    -- A replica that is cut off must not hold its locks for the two hours that are TCP's default.
    set_config('tcp_keepalives_idle', '10', false),
    set_config('tcp_keepalives_interval', '5', false),
    set_config('tcp_keepalives_count', '3', false),
    set_config('tcp_user_timeout', '20000', false),
    -- One that is stopped answers TCP all the same: its kernel does. In the middle of a transaction
    -- it holds the lock of the audit, for which every change waits, or of insertions.
    CASE WHEN current_setting('idle_in_transaction_session_timeout') = '0' THEN set_config('idle_in_transaction_session_timeout', '20000', false) END,
    set_config('plan_cache_mode', 'force_generic_plan', false),
    set_config('jit', 'off', false)
