"""PostgreSQL: connections, transactions, queries, migrations and the embedded server."""
