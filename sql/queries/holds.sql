-- name: expire_holds(slot_ids, booking_ids, max_holds)^
-- Fails lapsed holds of some slots, those of booking_ids where that is not null, and gives their seats
-- back. Locks those of the slots that have any, in the order of their ids, then holds, and passes over
-- whatever others have locked: it waits for nobody, and two sweepers share the work. Tells how many slots
-- it passed by. A hold that lapsed stays lapsed, so the statement's own time decides. Takes the holds of a
-- slot as their index has them: a sweep reads max_holds of them and no more.
WITH due AS MATERIALIZED (
    SELECT given.slot_id
    FROM unnest(:slot_ids::uuid[]) AS given (slot_id)
    WHERE EXISTS (
        SELECT 1
        FROM bookings AS b
        WHERE
            b.slot_id = given.slot_id
            AND is_pending(b.status)
            AND b.expires_at <= statement_timestamp()
    )
),

locked_slots AS MATERIALIZED (
    SELECT s.id
    FROM due
    INNER JOIN slots AS s ON due.slot_id = s.id
    ORDER BY s.id
    FOR NO KEY UPDATE OF s SKIP LOCKED
),

locked_holds AS MATERIALIZED (
    SELECT lapsed.id
    FROM locked_slots
    CROSS JOIN
        LATERAL (
            SELECT b.id
            FROM bookings AS b
            WHERE
                b.slot_id = locked_slots.id
                AND is_pending(b.status)
                AND b.expires_at <= statement_timestamp()
                AND (:booking_ids::uuid[] IS NULL OR b.id = any(:booking_ids::uuid[]))
            ORDER BY b.expires_at
            LIMIT :max_holds::integer
            FOR NO KEY UPDATE OF b SKIP LOCKED
        ) AS lapsed
    LIMIT :max_holds::integer  -- noqa: AM09
),

expired AS (
    UPDATE bookings AS b
    SET status = 'FAILED', failure_reason = 'EXPIRED', updated_at = clock_timestamp()
    FROM locked_holds
    WHERE b.id = locked_holds.id AND is_pending(b.status)
    RETURNING b.id, b.slot_id, b.status, b.num_seats, b.updated_at
),

restored AS (
    UPDATE slots AS s
    SET
        remaining_capacity = s.remaining_capacity + freed.seats,
        version = least(s.version, 9223372036854775806) + 1,
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
    coalesce(sum(num_seats), 0)::bigint AS seats,
    (SELECT count(*) FROM due) - (SELECT count(*) FROM locked_slots) AS locked_slots
FROM expired;

-- name: lock_lapsed_holds(slot_id, booking_ids, max_holds)
-- Locks lapsed holds of a slot that the transaction has locked, those of booking_ids where that is not
-- null; waits for those who hold them. Nobody locks two holds of a slot without its own lock, so they
-- need no order among themselves.
SELECT id
FROM bookings
WHERE
    slot_id = :slot_id::uuid
    AND is_pending(status)
    AND expires_at <= statement_timestamp()
    AND (:booking_ids::uuid[] IS NULL OR id = any(:booking_ids::uuid[]))
ORDER BY expires_at
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
