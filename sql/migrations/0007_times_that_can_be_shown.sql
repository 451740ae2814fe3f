-- What a client can be shown in RFC 3339: four digits of year. start_time has this bound from the
-- beginning. The application writes no other times; somebody at psql may, and 'infinity' too. NOT VALID:
-- the tables are locked for a moment and not read. The next file looks at the rows that stand.

ALTER TABLE slots
ADD CONSTRAINT slots_created_at_ck CHECK (
    created_at >= '0001-01-01 00:00:00+00' AND created_at < '10000-01-01 00:00:00+00'
) NOT VALID,
ADD CONSTRAINT slots_updated_at_ck CHECK (
    updated_at >= '0001-01-01 00:00:00+00' AND updated_at < '10000-01-01 00:00:00+00'
) NOT VALID;

ALTER TABLE bookings
ADD CONSTRAINT bookings_expires_at_ck CHECK (
    expires_at >= '0001-01-01 00:00:00+00' AND expires_at < '10000-01-01 00:00:00+00'
) NOT VALID,
ADD CONSTRAINT bookings_created_at_ck CHECK (
    created_at >= '0001-01-01 00:00:00+00' AND created_at < '10000-01-01 00:00:00+00'
) NOT VALID,
ADD CONSTRAINT bookings_updated_at_ck CHECK (
    updated_at >= '0001-01-01 00:00:00+00' AND updated_at < '10000-01-01 00:00:00+00'
) NOT VALID;

ALTER TABLE booking_events
ADD CONSTRAINT booking_events_at_ck CHECK (
    at >= '0001-01-01 00:00:00+00' AND at < '10000-01-01 00:00:00+00'
) NOT VALID;
