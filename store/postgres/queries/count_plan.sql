-- For this transaction: a plan for these very arguments, which joins many rows with many. The
-- newest partitions, where most of them are, have no statistics yet, and without these settings
-- the planner would look each row up by itself.
SELECT
    set_config('plan_cache_mode', 'force_custom_plan', true),
    set_config('enable_nestloop', 'off', true),
    set_config('work_mem', '64MB', true)
