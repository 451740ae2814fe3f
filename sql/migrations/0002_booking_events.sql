-- The history of every booking. seats is how many moved, slot_version the version that the slot got
-- by the move: total_capacity less what left plus what returned, up to a version, is what remained.

-- slot_id bears no foreign key: its share lock on the slot would make a confirmation, which holds
-- its booking, wait for the slot, against the lock order. sql/checks compares it with the booking.
CREATE TABLE booking_events (
    id bigint GENERATED ALWAYS AS IDENTITY,
    booking_id uuid NOT NULL,
    slot_id uuid NOT NULL,
    type text NOT NULL,
    from_status text,
    to_status text NOT NULL,
    seats integer NOT NULL,
    slot_version bigint,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT booking_events_id_pk PRIMARY KEY (id),
    CONSTRAINT booking_events_booking_id_fk FOREIGN KEY (booking_id)
    REFERENCES bookings (id) ON DELETE RESTRICT,
    CONSTRAINT booking_events_type_ck CHECK (
        (type = 'HELD' AND from_status IS NULL AND to_status = 'PENDING')
        OR (type = 'BOOKED' AND from_status IS NULL AND to_status = 'CONFIRMED')
        OR (type, coalesce(from_status, ''), to_status) IN (
            ('CONFIRMED', 'PENDING', 'CONFIRMED'),
            ('EXPIRED', 'PENDING', 'FAILED'),
            ('CANCELLED', 'PENDING', 'CANCELLED'),
            ('CANCELLED', 'CONFIRMED', 'CANCELLED')
        )
    ),
    CONSTRAINT booking_events_seats_ck CHECK (
        (type = 'CONFIRMED' AND seats = 0) OR (type <> 'CONFIRMED' AND seats BETWEEN 1 AND 1000)
    ),
    CONSTRAINT booking_events_slot_version_ck CHECK (
        (type = 'CONFIRMED') = (slot_version IS NULL)
    )
);

CREATE INDEX booking_events_booking_id_id_idx ON booking_events (booking_id, id);
CREATE INDEX booking_events_slot_id_slot_version_idx ON booking_events (slot_id, slot_version);

CREATE FUNCTION refuse_change_of_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is only ever appended to', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER booking_events_append_only
BEFORE UPDATE OR DELETE OR TRUNCATE ON booking_events
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_history();
