-- The least that a booking of one seat is to PostgreSQL, in one statement: the conditional UPDATE that
-- takes the seat, the booking, its event. What the application does beside (keys, limits, holds, the
-- clock after the wait) is left out, so this is what the row's own lock allows.
WITH taken AS (
    UPDATE slots
    SET remaining_capacity = remaining_capacity - 1, version = version + 1, updated_at = clock_timestamp()
    WHERE id = :slot_id::uuid AND status = 'OPEN' AND start_time > clock_timestamp() AND remaining_capacity >= 1
    RETURNING id, version, updated_at
),

booked AS (
    INSERT INTO bookings (id, slot_id, user_id, num_seats, status, idempotency_key, created_at, updated_at)
    SELECT :booking_id::uuid, id, :user_id::text, 1, 'CONFIRMED', :idempotency_key::text, updated_at, updated_at
    FROM taken
    RETURNING id, slot_id
),

logged AS (
    INSERT INTO booking_events (booking_id, slot_id, type, to_status, seats, slot_version, at)
    SELECT booked.id, booked.slot_id, 'BOOKED', 'CONFIRMED', 1, taken.version, taken.updated_at
    FROM booked
    CROSS JOIN taken
)

SELECT id
FROM booked
