"""What is remembered: the tables, transactions on SQLite or PostgreSQL, and how an older store becomes a newer one."""
