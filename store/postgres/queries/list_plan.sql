-- For this transaction, a plan for these very arguments: one for any arguments could not tell
-- which filters are in force, and would use no index.
SELECT set_config('plan_cache_mode', 'force_custom_plan', true)
