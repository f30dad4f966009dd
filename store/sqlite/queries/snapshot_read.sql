-- {columns}, {table} and {condition} are put in by the program: which tables there are is told by
-- store.BackedUp.
SELECT {columns} FROM {table} WHERE {condition}
