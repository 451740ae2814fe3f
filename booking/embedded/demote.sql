-- Makes the role booking, the superuser that initdb made, an ordinary one that owns its database.
-- That superuser can be no other than one, and cannot be renamed by itself: it gets another name
-- from a helper, and loses its password. What it made is the role's from then on, except for
-- extensions and what is part of them: some of their functions are kept from everybody only by
-- who owns them. Whoever had the role could have made more superusers: they are none any more.
-- One transaction, which does nothing the second time.
DO $$
DECLARE
    helper constant text := 'booking_' || md5(random()::text);
    superuser text := 'postgres';
    statement text;
BEGIN
    SET LOCAL search_path = pg_catalog;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE oid = 10 AND rolname = 'booking') THEN
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = superuser) THEN
        superuser := 'postgres_' || md5(random()::text);
    END IF;
    EXECUTE format('CREATE ROLE %I SUPERUSER', helper);
    EXECUTE format('SET SESSION AUTHORIZATION %I', helper);
    EXECUTE format('ALTER ROLE booking RENAME TO %I', superuser);
    EXECUTE format('SET SESSION AUTHORIZATION %I', superuser);
    EXECUTE format('DROP ROLE %I', helper);
    FOR statement IN
        SELECT format('ALTER ROLE %I NOSUPERUSER', rolname)
        FROM pg_roles
        WHERE rolsuper AND oid <> 10
    LOOP
        EXECUTE statement;
    END LOOP;
    EXECUTE format('ALTER ROLE %I NOLOGIN PASSWORD NULL', superuser);
    CREATE ROLE booking;
    ALTER DATABASE booking OWNER TO booking;
    FOR statement IN
        WITH own_schemas AS (
            SELECT oid, nspname
            FROM pg_namespace
            WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
        ),

        parts AS (
            SELECT part.classid, part.objid, object.type, object.identity
            FROM pg_depend AS part
            CROSS JOIN LATERAL pg_identify_object(part.classid, part.objid, 0) AS object
            WHERE part.refclassid = 'pg_namespace'::regclass
                AND part.refobjid IN (SELECT oid FROM own_schemas)
                AND part.deptype = 'n'
                -- They have no owner, or none that can be changed.
                AND object.type NOT IN (
                    'extension', 'text search parser', 'text search template'
                )
            UNION ALL
            SELECT 'pg_namespace'::regclass, oid, 'schema', quote_ident(nspname)
            FROM own_schemas
            WHERE nspname <> 'public'
        )

        SELECT
            format(
                'ALTER %s %s OWNER TO booking',
                CASE type
                    WHEN 'statistics object' THEN 'statistics'
                    WHEN 'composite type' THEN 'type'
                    ELSE type
                END,
                identity
            )
        FROM parts
        WHERE NOT EXISTS (
            SELECT FROM pg_depend AS member
            WHERE member.classid = parts.classid
                AND member.objid = parts.objid
                AND member.deptype = 'e'
        )
        -- No owner is recorded where it is the superuser.
        AND NOT EXISTS (
            SELECT FROM pg_shdepend AS owned
            WHERE owned.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND owned.classid = parts.classid
                AND owned.objid = parts.objid
                AND owned.deptype = 'o'
        )
        -- Tables first: a sequence goes with its table.
        ORDER BY type = 'table' DESC, identity
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$
