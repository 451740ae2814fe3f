-- name: list_applied_migrations()
-- The files that were applied, in their order, with the SHA-256 that each had.
SELECT
    name,
    sha256
FROM schema_migrations
ORDER BY name;

-- name: insert_applied_migration(name, sha256)!
-- Records a file in the transaction that applies it.
INSERT INTO schema_migrations (name, sha256)
VALUES (:name::text, :sha256::text);

-- name: create_schema_migrations()#
-- The table that tells what was applied.
CREATE TABLE IF NOT EXISTS schema_migrations (
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT schema_migrations_name_pk PRIMARY KEY (name)
);

-- name: has_schema_migrations()$
-- Whether any migration was ever applied here.
SELECT to_regclass('schema_migrations') IS NOT NULL;

-- name: try_lock_migrations(space, number)$
-- Takes the lock of this session under which migrations run. Polled, never waited for: a session
-- that waits holds a snapshot, and CREATE INDEX CONCURRENTLY would wait for it in turn. Of two numbers:
-- these locks are never those of one number (PostgreSQL, "Advisory Locks"), and keys have those.
SELECT pg_try_advisory_lock(:space::integer, :number::integer);

-- name: unlock_migrations(space, number)$
-- Gives it back; the end of the session would as well.
SELECT pg_advisory_unlock(:space::integer, :number::integer);

-- name: list_invalid_indexes()
-- Indexes that CREATE INDEX CONCURRENTLY began and did not end: they are kept and answer nothing.
SELECT c.relname::text AS name
FROM pg_index AS i
INNER JOIN pg_class AS c ON i.indexrelid = c.oid
WHERE c.relnamespace = current_schema()::regnamespace AND NOT i.indisvalid
ORDER BY c.relname;
