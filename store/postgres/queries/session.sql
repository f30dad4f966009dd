-- Each connection starts with this: a row that was reported as written is durable.
SELECT set_config('synchronous_commit', 'on', false)
WHERE current_setting('synchronous_commit') = 'off'
