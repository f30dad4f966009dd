SELECT f.data, f.computed_at FROM figures AS f
