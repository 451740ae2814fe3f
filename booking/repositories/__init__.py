"""One module a table: typed functions over its SQL file, connection first. Nobody commits."""
