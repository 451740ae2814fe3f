-- Rows that break the constraints of the file before get the nearest time that can be shown; none does
-- but where somebody wrote it by hand. Reading the tables locks nobody out (PostgreSQL, "ALTER TABLE",
-- VALIDATE CONSTRAINT). 'infinity' orders after, and years before Christ before, every time of the bound.

UPDATE slots
SET
    created_at = greatest(
        least(created_at, '9999-12-31 23:59:59.999999+00'), '0001-01-01 00:00:00+00'
    ),
    updated_at = greatest(
        least(updated_at, '9999-12-31 23:59:59.999999+00'), '0001-01-01 00:00:00+00'
    )
WHERE
    created_at < '0001-01-01 00:00:00+00' OR created_at >= '10000-01-01 00:00:00+00'
    OR updated_at < '0001-01-01 00:00:00+00' OR updated_at >= '10000-01-01 00:00:00+00';

UPDATE bookings
SET
    expires_at = CASE
        WHEN expires_at IS NOT NULL
            THEN
                greatest(
                    least(expires_at, '9999-12-31 23:59:59.999999+00'), '0001-01-01 00:00:00+00'
                )
    END,
    created_at = greatest(
        least(created_at, '9999-12-31 23:59:59.999999+00'), '0001-01-01 00:00:00+00'
    ),
    updated_at = greatest(
        least(updated_at, '9999-12-31 23:59:59.999999+00'), '0001-01-01 00:00:00+00'
    )
WHERE
    expires_at < '0001-01-01 00:00:00+00' OR expires_at >= '10000-01-01 00:00:00+00'
    OR created_at < '0001-01-01 00:00:00+00' OR created_at >= '10000-01-01 00:00:00+00'
    OR updated_at < '0001-01-01 00:00:00+00' OR updated_at >= '10000-01-01 00:00:00+00';

-- The history is never changed, but here. Switching its trigger off keeps writers out until the commit,
-- so it is done only where there is something to mend.
DO $$
BEGIN
    IF EXISTS (
        SELECT FROM booking_events
        WHERE at < '0001-01-01 00:00:00+00' OR at >= '10000-01-01 00:00:00+00'
    ) THEN
        ALTER TABLE booking_events DISABLE TRIGGER booking_events_append_only;
        UPDATE booking_events
        SET at = greatest(least(at, '9999-12-31 23:59:59.999999+00'), '0001-01-01 00:00:00+00')
        WHERE at < '0001-01-01 00:00:00+00' OR at >= '10000-01-01 00:00:00+00';
        ALTER TABLE booking_events ENABLE TRIGGER booking_events_append_only;
    END IF;
END
$$;

ALTER TABLE slots VALIDATE CONSTRAINT slots_created_at_ck;
ALTER TABLE slots VALIDATE CONSTRAINT slots_updated_at_ck;
ALTER TABLE bookings VALIDATE CONSTRAINT bookings_expires_at_ck;
ALTER TABLE bookings VALIDATE CONSTRAINT bookings_created_at_ck;
ALTER TABLE bookings VALIDATE CONSTRAINT bookings_updated_at_ck;
ALTER TABLE booking_events VALIDATE CONSTRAINT booking_events_at_ck;
