-- Makes the role booking, the superuser that initdb made, an ordinary one that owns its database.
-- That superuser can be no other than one, and cannot be renamed by itself: it gets another name
-- from a helper, and loses its password. One transaction, which does nothing the second time.
DO $$
DECLARE
    statement text;
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE oid = 10 AND rolname = 'booking') THEN
        CREATE ROLE booking_helper SUPERUSER;
        SET SESSION AUTHORIZATION booking_helper;
        ALTER ROLE booking RENAME TO postgres;
        SET SESSION AUTHORIZATION postgres;
        DROP ROLE booking_helper;
        ALTER ROLE postgres NOLOGIN PASSWORD NULL;
        CREATE ROLE booking;
        ALTER DATABASE booking OWNER TO booking;
        -- Tables first: a sequence goes with its table.
        FOR statement IN
            SELECT format('ALTER %s %s OWNER TO booking', object.type, object.identity)
            FROM pg_depend AS part
            CROSS JOIN LATERAL pg_identify_object(part.classid, part.objid, 0) AS object
            WHERE part.refclassid = 'pg_namespace'::regclass
                AND part.refobjid = 'public'::regnamespace
                AND part.deptype = 'n'
            ORDER BY object.type = 'table' DESC, object.identity
        LOOP
            EXECUTE statement;
        END LOOP;
    END IF;
END
$$
