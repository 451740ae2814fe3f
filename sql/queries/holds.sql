-- name: expire_holds(slot_id, max_slots, max_holds)^
-- Fails lapsed holds, of one slot or (slot_id null) of any, and gives their seats back. Locks slots
-- in the order of their ids, then holds, and passes over whatever others have locked: it waits for
-- nobody, and two sweepers share the work. A hold that lapsed stays lapsed, so the statement's own
-- time decides.
WITH locked_slots AS MATERIALIZED (
    SELECT s.id
    FROM slots AS s
    WHERE
        s.id IN (
            SELECT b.slot_id
            FROM bookings AS b
            WHERE
                b.status = 'PENDING'
                AND b.expires_at <= statement_timestamp()
                AND (:slot_id::uuid IS NULL OR b.slot_id = :slot_id::uuid)
        )
    ORDER BY s.id
    LIMIT :max_slots::integer
    FOR NO KEY UPDATE OF s SKIP LOCKED
),

locked_holds AS MATERIALIZED (
    SELECT b.id
    FROM bookings AS b
    INNER JOIN locked_slots ON b.slot_id = locked_slots.id
    WHERE b.status = 'PENDING' AND b.expires_at <= statement_timestamp()
    ORDER BY b.slot_id, b.id
    LIMIT :max_holds::integer
    FOR NO KEY UPDATE OF b SKIP LOCKED
),

expired AS (
    UPDATE bookings AS b
    SET status = 'FAILED', failure_reason = 'EXPIRED', updated_at = clock_timestamp()
    FROM locked_holds
    WHERE b.id = locked_holds.id AND b.status = 'PENDING'
    RETURNING b.id, b.slot_id, b.status, b.num_seats, b.updated_at
),

restored AS (
    UPDATE slots AS s
    SET
        remaining_capacity = s.remaining_capacity + freed.seats,
        version = s.version + 1,
        updated_at = clock_timestamp()
    FROM (
        SELECT
            slot_id,
            sum(num_seats)::integer AS seats
        FROM expired
        GROUP BY slot_id
    ) AS freed
    WHERE s.id = freed.slot_id
    RETURNING s.id AS slot_id, s.version AS slot_version
),

logged AS (
    INSERT INTO booking_events (
        booking_id, slot_id, type, from_status, to_status, seats, slot_version, at
    )
    SELECT
        expired.id,
        expired.slot_id,
        'EXPIRED',
        'PENDING',
        expired.status,
        expired.num_seats,
        restored.slot_version,
        expired.updated_at
    FROM expired
    INNER JOIN restored ON expired.slot_id = restored.slot_id
)

SELECT
    count(*) AS holds,
    coalesce(sum(num_seats), 0)::bigint AS seats
FROM expired;

-- name: lock_lapsed_holds(slot_id, max_holds)
-- Locks the lapsed holds of a slot that the transaction has locked; waits for those who hold them.
SELECT id
FROM bookings
WHERE
    slot_id = :slot_id::uuid AND status = 'PENDING' AND expires_at <= statement_timestamp()
ORDER BY id
LIMIT :max_holds::integer
FOR NO KEY UPDATE;

-- name: list_slots_with_lapsed_holds(lapsed_before)
-- The slots that have holds which lapsed by a moment, in the lock order.
SELECT DISTINCT slot_id
FROM bookings
WHERE status = 'PENDING' AND expires_at <= :lapsed_before::timestamptz
ORDER BY slot_id;

-- name: read_clock()$
-- The database's clock, which alone decides what has lapsed.
SELECT clock_timestamp();
