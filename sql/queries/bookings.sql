-- name: insert_booking(booking_id, slot_id, user_id, num_seats, hold_ttl_seconds, hold_place, is_seat_limit_checked, idempotency_key)^
-- Takes the seats and writes the booking with its first event: one statement, one round trip.
-- hold_ttl_seconds is null for a booking that is confirmed at once. No row comes back when the slot
-- does not take it, or when the key stands on a booking already; then nothing was locked or written.
-- Locks the slot, and reads the clock again once it has it: a condition of an UPDATE that waited is
-- not evaluated again when the row did not change meanwhile. The advisory lock marks the key as in
-- progress and decides nothing. A slot with a limit per user is left to a transaction that has
-- locked it and added up the user's seats.
WITH claimed_key AS MATERIALIZED (
    SELECT
        CASE
            WHEN :idempotency_key::text IS NOT NULL
                THEN pg_try_advisory_xact_lock(
                    hashtextextended(
                        :idempotency_key::text, hashtextextended(:user_id::text, 0)
                    )
                )
        END AS is_first
),

locked_slot AS MATERIALIZED (
    SELECT
        s.id,
        s.start_time
    FROM slots AS s
    CROSS JOIN claimed_key
    WHERE
        s.id = :slot_id::uuid
        AND (s.max_seats_per_user IS NULL OR :is_seat_limit_checked::boolean)
        AND s.status = 'OPEN'
        AND s.start_time > clock_timestamp()
        AND s.remaining_capacity >= :num_seats::integer
        AND NOT EXISTS (
            SELECT 1
            FROM bookings AS used
            WHERE
                used.user_id = :user_id::text
                AND used.idempotency_key = :idempotency_key::text
        )
    FOR NO KEY UPDATE OF s
),

taken AS (
    UPDATE slots AS s
    SET
        remaining_capacity = s.remaining_capacity - :num_seats::integer,
        version = s.version + 1,
        updated_at = clock_timestamp()
    FROM locked_slot
    WHERE
        s.id = locked_slot.id
        AND s.status = 'OPEN'
        AND (s.max_seats_per_user IS NULL OR :is_seat_limit_checked::boolean)
        AND locked_slot.start_time > clock_timestamp()
        AND s.remaining_capacity >= :num_seats::integer
    RETURNING s.id AS slot_id, s.version AS slot_version, s.updated_at AS taken_at
),

booked AS (
    INSERT INTO bookings (
        id, slot_id, user_id, num_seats, status, expires_at, hold_place, idempotency_key,
        created_at, updated_at
    )
    SELECT
        :booking_id::uuid,
        taken.slot_id,
        :user_id::text,
        :num_seats::integer,
        CASE WHEN :hold_ttl_seconds::float8 IS NULL THEN 'CONFIRMED' ELSE 'PENDING' END,
        taken.taken_at + make_interval(secs => :hold_ttl_seconds::float8),
        :hold_place::integer,
        :idempotency_key::text,
        taken.taken_at,
        taken.taken_at
    FROM taken
    RETURNING
        id, slot_id, user_id, num_seats, status, failure_reason, expires_at, created_at, updated_at
),

logged AS (
    INSERT INTO booking_events (
        booking_id, slot_id, type, from_status, to_status, seats, slot_version, at
    )
    SELECT
        booked.id,
        booked.slot_id,
        CASE WHEN booked.status = 'PENDING' THEN 'HELD' ELSE 'BOOKED' END,
        NULL,
        booked.status,
        booked.num_seats,
        taken.slot_version,
        taken.taken_at
    FROM booked
    CROSS JOIN taken
)

SELECT
    id,
    slot_id,
    user_id,
    num_seats,
    status,
    failure_reason,
    expires_at,
    created_at,
    updated_at
FROM booked;

-- name: is_key_free(user_id, idempotency_key)$
-- Whether no transaction under way claims the key. Decides nothing but which refusal is told.
SELECT
    pg_try_advisory_xact_lock(
        hashtextextended(:idempotency_key::text, hashtextextended(:user_id::text, 0))
    );

-- name: find_free_hold_place(user_id, max_active_holds)$
-- A place for one more hold of the user, null where all are taken. Any of the free ones: requests
-- that come at once had better not all try the same.
SELECT place.number
FROM generate_series(1, :max_active_holds::integer) AS place (number)
WHERE
    NOT EXISTS (
        SELECT 1
        FROM bookings AS held
        WHERE
            held.user_id = :user_id::text
            AND held.status = 'PENDING'
            AND held.hold_place = place.number
    )
ORDER BY random()
LIMIT 1;

-- name: sum_seats_of_user(slot_id, user_id)$
-- The seats of a slot that a user has, booked or held. Exact where the slot is locked.
SELECT coalesce(sum(num_seats), 0)::integer
FROM current_bookings
WHERE
    slot_id = :slot_id::uuid
    AND user_id = :user_id::text
    AND status IN ('PENDING', 'CONFIRMED');

-- name: list_pending_holds(user_id)
-- A user's holds that were neither confirmed nor cancelled, and those that lapsed unswept among them.
SELECT
    slot_id,
    is_unswept,
    ceil(extract(EPOCH FROM expires_at - statement_timestamp()))::integer AS seconds_left
FROM current_bookings
WHERE user_id = :user_id::text AND (status = 'PENDING' OR is_unswept)
ORDER BY slot_id, id;

-- name: find_booking(booking_id, owner)^
-- One booking as it is shown, and whether it is a lapsed hold that stands unswept. owner is null for
-- who may see every booking.
SELECT
    id,
    slot_id,
    user_id,
    num_seats,
    status,
    failure_reason,
    expires_at,
    created_at,
    updated_at,
    is_unswept
FROM current_bookings
WHERE id = :booking_id::uuid AND (:owner::text IS NULL OR user_id = :owner::text);

-- name: find_booking_by_key(user_id, idempotency_key)^
-- The booking that bears the user's key, as find_booking shows it.
SELECT
    id,
    slot_id,
    user_id,
    num_seats,
    status,
    failure_reason,
    expires_at,
    created_at,
    updated_at,
    is_unswept
FROM current_bookings
WHERE user_id = :user_id::text AND idempotency_key = :idempotency_key::text;

-- name: confirm_booking(booking_id, owner)^
-- Confirms a hold that has not lapsed when its lock is had: the clock is read after the wait. Locks
-- the booking alone; a confirmation moves no seats. No row comes back when it is not such a hold.
WITH locked_hold AS MATERIALIZED (
    SELECT
        b.id,
        b.expires_at
    FROM bookings AS b
    WHERE
        b.id = :booking_id::uuid
        AND (:owner::text IS NULL OR b.user_id = :owner::text)
        AND b.status = 'PENDING'
    FOR NO KEY UPDATE OF b
),

confirmed AS (
    UPDATE bookings AS b
    SET status = 'CONFIRMED', updated_at = clock_timestamp()
    FROM locked_hold
    WHERE
        b.id = locked_hold.id
        AND b.status = 'PENDING'
        AND locked_hold.expires_at > clock_timestamp()
    RETURNING
        b.id, b.slot_id, b.user_id, b.num_seats, b.status, b.failure_reason, b.expires_at,
        b.created_at, b.updated_at
),

logged AS (
    INSERT INTO booking_events (booking_id, slot_id, type, from_status, to_status, seats, at)
    SELECT
        id,
        slot_id,
        'CONFIRMED',
        'PENDING',
        status,
        0,
        updated_at
    FROM confirmed
)

SELECT
    id,
    slot_id,
    user_id,
    num_seats,
    status,
    failure_reason,
    expires_at,
    created_at,
    updated_at
FROM confirmed;

-- name: cancel_booking(booking_id, owner)^
-- Cancels a booking that stands and gives its seats back. Locks its slot, then the booking, then
-- decides. No row comes back when it does not stand: final already, or a hold that has lapsed.
WITH locked_slot AS MATERIALIZED (
    SELECT s.id
    FROM slots AS s
    WHERE
        s.id = (
            SELECT b.slot_id
            FROM bookings AS b
            WHERE
                b.id = :booking_id::uuid
                AND (:owner::text IS NULL OR b.user_id = :owner::text)
                AND b.status IN ('PENDING', 'CONFIRMED')
        )
    FOR NO KEY UPDATE OF s
),

locked_booking AS MATERIALIZED (
    SELECT
        b.id,
        b.status,
        b.expires_at
    FROM bookings AS b
    INNER JOIN locked_slot ON b.slot_id = locked_slot.id
    WHERE b.id = :booking_id::uuid AND b.status IN ('PENDING', 'CONFIRMED')
    FOR NO KEY UPDATE OF b
),

cancelled AS (
    UPDATE bookings AS b
    SET status = 'CANCELLED', updated_at = clock_timestamp()
    FROM locked_booking
    WHERE
        b.id = locked_booking.id
        AND b.status = locked_booking.status
        AND (
            locked_booking.status = 'CONFIRMED'
            OR locked_booking.expires_at > clock_timestamp()
        )
    RETURNING
        b.id, b.slot_id, b.user_id, b.num_seats, b.status, b.failure_reason, b.expires_at,
        b.created_at, b.updated_at, locked_booking.status AS from_status
),

restored AS (
    UPDATE slots AS s
    SET
        remaining_capacity = s.remaining_capacity + cancelled.num_seats,
        version = s.version + 1,
        updated_at = clock_timestamp()
    FROM cancelled
    WHERE s.id = cancelled.slot_id
    RETURNING s.id AS slot_id, s.version AS slot_version
),

logged AS (
    INSERT INTO booking_events (
        booking_id, slot_id, type, from_status, to_status, seats, slot_version, at
    )
    SELECT
        cancelled.id,
        cancelled.slot_id,
        'CANCELLED',
        cancelled.from_status,
        cancelled.status,
        cancelled.num_seats,
        restored.slot_version,
        cancelled.updated_at
    FROM cancelled
    INNER JOIN restored ON cancelled.slot_id = restored.slot_id
)

SELECT
    id,
    slot_id,
    user_id,
    num_seats,
    status,
    failure_reason,
    expires_at,
    created_at,
    updated_at
FROM cancelled;

-- name: list_bookings(user_id, slot_id, status, before_created_at, before_id, max_rows)
-- Bookings as they are shown, newest first, behind a keyset position.
SELECT
    id,
    slot_id,
    user_id,
    num_seats,
    status,
    failure_reason,
    expires_at,
    created_at,
    updated_at
FROM current_bookings
WHERE
    (:user_id::text IS NULL OR user_id = :user_id::text)
    AND (:slot_id::uuid IS NULL OR slot_id = :slot_id::uuid)
    AND (:status::text IS NULL OR status = :status::text)
    AND (
        :before_created_at::timestamptz IS NULL
        OR (created_at, id) < (:before_created_at::timestamptz, :before_id::uuid)
    )
ORDER BY created_at DESC, id DESC
LIMIT :max_rows::integer;
