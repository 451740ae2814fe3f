-- The advisory lock under which a key is in progress. With a seed of this database's own nobody outside can
-- find two keys that share a lock. Without STRICT, so that it is inlined.
DO $$
BEGIN
    EXECUTE format(
        'CREATE FUNCTION key_lock(user_id text, idempotency_key text)'
        ' RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS'
        ' %L',
        format(
            'SELECT hashtextextended(idempotency_key, hashtextextended(user_id, %L::bigint))',
            hashtextextended(gen_random_uuid()::text, hashtextextended(gen_random_uuid()::text, 0))
        )
    );
END
$$;
