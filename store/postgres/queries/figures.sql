SELECT f.data, clock_timestamp() - f.computed_at AS age FROM figures AS f
