-- Slots and their bookings. Seats leave a slot when a booking is made and return once, when it
-- becomes FAILED or CANCELLED: remaining_capacity + seats of PENDING and CONFIRMED bookings =
-- total_capacity, for every slot, after every transaction.

-- The fillfactor leaves room for HOT updates of a slot that many book at once (PostgreSQL, chapter
-- "Heap-Only Tuples"). For the same reason no index may name a column that a booking changes.
CREATE TABLE slots (
    id uuid NOT NULL,
    doctor_name text NOT NULL,
    specialization text,
    start_time timestamptz NOT NULL,
    duration_minutes integer,
    total_capacity integer NOT NULL,
    remaining_capacity integer NOT NULL,
    status text NOT NULL DEFAULT 'OPEN',
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT slots_id_pk PRIMARY KEY (id),
    CONSTRAINT slots_doctor_name_ck CHECK (char_length(doctor_name) BETWEEN 1 AND 200),
    CONSTRAINT slots_specialization_ck CHECK (char_length(specialization) <= 200),
    -- What a client can be shown in RFC 3339: four digits of year.
    CONSTRAINT slots_start_time_ck CHECK (
        start_time >= '0001-01-01 00:00:00+00' AND start_time < '10000-01-01 00:00:00+00'
    ),
    CONSTRAINT slots_duration_minutes_ck CHECK (duration_minutes BETWEEN 1 AND 10080),
    CONSTRAINT slots_total_capacity_ck CHECK (total_capacity BETWEEN 1 AND 1000000),
    CONSTRAINT slots_remaining_capacity_ck CHECK (remaining_capacity BETWEEN 0 AND total_capacity),
    CONSTRAINT slots_status_ck CHECK (status IN ('OPEN', 'CLOSED')),
    CONSTRAINT slots_version_ck CHECK (version >= 1)
) WITH (fillfactor = 75);

CREATE INDEX slots_start_time_id_idx ON slots (start_time, id);

-- ON DELETE RESTRICT: a slot that was ever booked stays, with its history.
CREATE TABLE bookings (
    id uuid NOT NULL,
    slot_id uuid NOT NULL,
    user_id text NOT NULL,
    num_seats integer NOT NULL,
    status text NOT NULL,
    failure_reason text,
    expires_at timestamptz,
    idempotency_key text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT bookings_id_pk PRIMARY KEY (id),
    CONSTRAINT bookings_slot_id_fk FOREIGN KEY (slot_id) REFERENCES slots (id) ON DELETE RESTRICT,
    CONSTRAINT bookings_user_id_idempotency_key_uq UNIQUE (user_id, idempotency_key),
    CONSTRAINT bookings_user_id_ck CHECK (char_length(user_id) BETWEEN 1 AND 200),
    CONSTRAINT bookings_num_seats_ck CHECK (num_seats BETWEEN 1 AND 1000),
    CONSTRAINT bookings_status_ck CHECK (
        status IN ('PENDING', 'CONFIRMED', 'FAILED', 'CANCELLED')
    ),
    CONSTRAINT bookings_failure_reason_ck CHECK (failure_reason = 'EXPIRED'),
    CONSTRAINT bookings_status_failure_reason_ck CHECK (
        (status = 'FAILED') = (failure_reason IS NOT NULL)
    ),
    -- expires_at is never cleared: that it is there says that a hold was asked for.
    CONSTRAINT bookings_status_expires_at_ck CHECK (
        status NOT IN ('PENDING', 'FAILED') OR expires_at IS NOT NULL
    ),
    CONSTRAINT bookings_idempotency_key_ck CHECK (char_length(idempotency_key) BETWEEN 1 AND 255)
) WITH (fillfactor = 90);

CREATE INDEX bookings_created_at_id_idx ON bookings (created_at, id);
CREATE INDEX bookings_user_id_created_at_id_idx ON bookings (user_id, created_at, id);
CREATE INDEX bookings_slot_id_created_at_id_idx ON bookings (slot_id, created_at, id);
CREATE INDEX bookings_slot_id_expires_at_pending_idx ON bookings (slot_id, expires_at)
INCLUDE (num_seats) WHERE status = 'PENDING';
CREATE INDEX bookings_expires_at_pending_idx ON bookings (expires_at) INCLUDE (slot_id)
WHERE status = 'PENDING';
