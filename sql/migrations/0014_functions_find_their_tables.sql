-- A restore by pg_dump empties the search_path, and the functions of triggers then found no table. Theirs
-- is pinned to the schema that they were made in. pg_temp comes last: left out, it would come first
-- (PostgreSQL, "CREATE FUNCTION", "Writing SECURITY DEFINER Functions Safely").
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['know_provider', 'know_specialization']
    LOOP
        EXECUTE format(
            'ALTER FUNCTION %I() SET search_path = %I, pg_temp', name, current_schema()
        );
    END LOOP;
END
$$;

-- A server serves while it migrates: a slot that was made after 0009 had read the providers and before its
-- trigger was there left its specialization unknown.
INSERT INTO specializations (specialization)
SELECT DISTINCT specialization
FROM providers
ON CONFLICT DO NOTHING;
