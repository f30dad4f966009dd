-- Each connection starts with this. A row that was reported as written is durable. Statements
-- are planned once: planning an insertion costs as much as inserting a few rows, and the
-- planner would do it each time for small batches, since it believes that those gain by it.
SELECT
    CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', false) END,
    set_config('plan_cache_mode', 'force_generic_plan', false),
    set_config('jit', 'off', false)
