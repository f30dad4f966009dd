-- For this transaction: a plan for these very arguments, since one for any arguments could not
-- tell which filters are in force; and one that walks an index and stops when the page is
-- full. Left to itself the planner goes by statistics, which the newest partitions, those that
-- are read most, do not have yet.
SELECT
    set_config('plan_cache_mode', 'force_custom_plan', true),
    set_config('enable_seqscan', 'off', true),
    set_config('enable_bitmapscan', 'off', true),
    set_config('enable_hashjoin', 'off', true),
    set_config('enable_mergejoin', 'off', true),
    set_config('enable_sort', 'off', true) -- an incremental sort is another thing
