-- name: read_server_state()^
-- What readiness asks of the server: a version, that it takes writes, and that what it commits is
-- still there after a crash (PostgreSQL, chapter "Reliability and the Write-Ahead Log").
SELECT
    current_setting('server_version_num')::integer AS version_num,
    pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean AS is_read_only,
    current_setting('fsync')::boolean AS has_fsync,
    current_setting('full_page_writes')::boolean AS has_full_page_writes,
    current_setting('synchronous_commit') <> 'off' AS has_synchronous_commit;

-- name: commit_nothing()#
-- Commits as a booking does, on disk and on synchronous standbys, and changes nothing: a message
-- that nobody reads, which locks nothing. It commits within a block, where statement_timeout ends the
-- wait for a silent standby; that of a statement for its own commit has no end, and holds a session.
DO $$
BEGIN
    PERFORM pg_logical_emit_message(true, 'booking', 'ready');
    COMMIT;
END
$$;
