-- name: insert_bookings(slot_ids, booking_ids, user_ids, num_seats, hold_ttl_seconds, hold_places, idempotency_keys, waits, is_seat_limit_checked)
-- Takes seats of slots for a group of requests, in their order, and writes the bookings with their
-- first events: one statement, one commit, one lock a slot. Each request takes its seats where they
-- still fit; one that does not leaves what is there to those behind it. hold_ttl_seconds is null for a
-- booking that is confirmed at once. No row comes back for a request that its slot does not take or
-- whose key stands on a booking already; where that is so for all, nothing was locked or written.
-- Locks the slots, and reads the clock again once it has each: a condition of a statement that waited
-- is not evaluated again when the row did not change meanwhile. A slot is waited for where it is the
-- only one (waits). Of several those that somebody has locked are passed by: nobody stands behind a
-- slot that is not their own, and no two groups wait for each other's.
-- The advisory lock marks a key as in progress; a request that does not get it is left out, so that
-- the slot need not wait, locked, for whoever has it. That a key is used once rests on its constraint
-- alone. A slot with a limit per user is left to a transaction that has locked it and added up its
-- users' seats.
WITH RECURSIVE wanted AS MATERIALIZED (
    SELECT
        asked.ordinal,
        asked.slot_id,
        asked.booking_id,
        asked.user_id,
        asked.num_seats,
        asked.hold_ttl_seconds,
        asked.hold_place,
        asked.idempotency_key,
        (
            asked.idempotency_key IS NULL
            OR pg_try_advisory_xact_lock(key_lock(asked.user_id, asked.idempotency_key))
        )
        AND NOT EXISTS (
            SELECT 1
            FROM bookings AS used
            WHERE
                used.user_id = asked.user_id
                AND used.idempotency_key = asked.idempotency_key
        ) AS is_bookable
    FROM
        unnest(
            :slot_ids::text[]::uuid[],
            :booking_ids::text[]::uuid[],
            :user_ids::text[],
            :num_seats::integer[],
            :hold_ttl_seconds::float8[],
            :hold_places::integer[],
            :idempotency_keys::text[]
        ) WITH ORDINALITY AS asked (
            slot_id,
            booking_id,
            user_id,
            num_seats,
            hold_ttl_seconds,
            hold_place,
            idempotency_key,
            ordinal
        )
),

line AS MATERIALIZED (
    SELECT
        slot_id,
        array_agg(ordinal ORDER BY ordinal) AS ordinals,
        array_agg(num_seats ORDER BY ordinal) AS num_seats,
        min(num_seats) AS fewest_seats
    FROM wanted
    WHERE is_bookable
    GROUP BY slot_id
),

waited_for AS MATERIALIZED (
    SELECT
        s.id,
        s.start_time,
        s.total_capacity,
        s.remaining_capacity
    FROM line
    INNER JOIN slots AS s ON line.slot_id = s.id
    WHERE
        :waits::boolean
        AND (s.max_seats_per_user IS NULL OR :is_seat_limit_checked::boolean)
        AND s.status = 'OPEN'
        AND s.start_time > clock_timestamp()
        AND s.remaining_capacity >= line.fewest_seats
    FOR NO KEY UPDATE OF s
),

passed_by AS MATERIALIZED (
    SELECT
        s.id,
        s.start_time,
        s.total_capacity,
        s.remaining_capacity
    FROM line
    INNER JOIN slots AS s ON line.slot_id = s.id
    WHERE
        NOT :waits::boolean
        AND (s.max_seats_per_user IS NULL OR :is_seat_limit_checked::boolean)
        AND s.status = 'OPEN'
        AND s.start_time > clock_timestamp()
        AND s.remaining_capacity >= line.fewest_seats
    FOR NO KEY UPDATE OF s SKIP LOCKED
),

moment AS MATERIALIZED (
    SELECT
        locked_slot.id AS slot_id,
        locked_slot.start_time,
        locked_slot.total_capacity,
        locked_slot.remaining_capacity,
        clock_timestamp() AS at
    FROM (
        SELECT
            id,
            start_time,
            total_capacity,
            remaining_capacity
        FROM waited_for
        UNION ALL
        SELECT
            id,
            start_time,
            total_capacity,
            remaining_capacity
        FROM passed_by
    ) AS locked_slot
),

fitted (slot_id, place_in_line, seats_left, is_taken) AS (
    SELECT
        moment.slot_id,
        0,
        moment.remaining_capacity,
        FALSE
    FROM moment
    WHERE moment.start_time > moment.at
    UNION ALL
    SELECT
        fitted.slot_id,
        fitted.place_in_line + 1,
        fitted.seats_left - CASE WHEN fit.is_taken THEN fit.num_seats ELSE 0 END,
        fit.is_taken
    FROM fitted
    INNER JOIN line ON fitted.slot_id = line.slot_id
    CROSS JOIN
        LATERAL (
            SELECT
                line.num_seats[fitted.place_in_line + 1] AS num_seats,
                line.num_seats[fitted.place_in_line + 1] <= fitted.seats_left AS is_taken
        ) AS fit
    WHERE fitted.place_in_line < cardinality(line.num_seats)
),

-- In one order for all: two groups that hold places for the same users wait for each other one way.
booked AS (
    INSERT INTO bookings (
        id, slot_id, user_id, num_seats, status, expires_at, hold_place, idempotency_key,
        created_at, updated_at
    )
    SELECT
        wanted.booking_id,
        moment.slot_id,
        wanted.user_id,
        wanted.num_seats,
        CASE WHEN wanted.hold_ttl_seconds IS NULL THEN 'CONFIRMED' ELSE 'PENDING' END,
        moment.at + make_interval(secs => wanted.hold_ttl_seconds),
        wanted.hold_place,
        wanted.idempotency_key,
        moment.at,
        moment.at
    FROM fitted
    INNER JOIN line ON fitted.slot_id = line.slot_id
    INNER JOIN moment ON fitted.slot_id = moment.slot_id
    INNER JOIN wanted ON line.ordinals[fitted.place_in_line] = wanted.ordinal
    WHERE fitted.is_taken
    ORDER BY wanted.user_id, wanted.hold_place
    ON CONFLICT DO NOTHING
    RETURNING
        id, slot_id, user_id, num_seats, status, failure_reason, expires_at, created_at, updated_at
),

-- Both capacities as they were locked. PostgreSQL checks a new row's constraints before it finds that
-- the row has changed since the statement began, and seats may have come back since. A version that
-- somebody set by hand to the largest number there is stays there, here and wherever one is raised.
taken AS (
    UPDATE slots AS s
    SET
        total_capacity = moment.total_capacity,
        remaining_capacity = moment.remaining_capacity - sold.num_seats,
        version = least(s.version, 9223372036854775807 - sold.bookings) + sold.bookings,
        updated_at = moment.at
    FROM moment
    INNER JOIN (
        SELECT
            slot_id,
            sum(num_seats)::integer AS num_seats,
            count(*) AS bookings
        FROM booked
        GROUP BY slot_id
    ) AS sold ON moment.slot_id = sold.slot_id
    WHERE s.id = moment.slot_id
    RETURNING s.id AS slot_id, s.version - sold.bookings AS version_before
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
        taken.version_before
        + row_number() OVER (PARTITION BY wanted.slot_id ORDER BY wanted.ordinal),
        booked.created_at
    FROM booked
    INNER JOIN wanted ON booked.id = wanted.booking_id
    INNER JOIN taken ON booked.slot_id = taken.slot_id
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

-- name: explain_refusals(slot_id, most_seats, user_ids, idempotency_keys)
-- Why requests for seats of a slot were not booked, all as of one moment: for each, in their order, the
-- booking that bears its key, and the slot as it is shown. Lapsed holds are added up where fewer than
-- most_seats are left without theirs: there may be a crowd of them. Had the first request of a key
-- committed before the slot is seen as full, its booking is seen too. Reads only: a flood of refusals
-- locks and writes nothing.
WITH seen_slot AS MATERIALIZED (
    SELECT
        s.id,
        s.status,
        s.start_time <= statement_timestamp() AS has_started,
        s.remaining_capacity + lapsed.seats AS remaining_capacity,
        s.max_seats_per_user,
        lapsed.seats AS unswept_seats
    FROM slots AS s
    CROSS JOIN
        LATERAL (
            SELECT
                CASE
                    WHEN s.remaining_capacity < :most_seats::integer
                        THEN (
                            SELECT shown.unswept_seats
                            FROM current_slots AS shown
                            WHERE shown.id = s.id
                        )
                    ELSE 0
                END AS seats
        ) AS lapsed
    WHERE s.id = :slot_id::uuid
)

SELECT
    bearer.id,
    bearer.slot_id,
    bearer.user_id,
    bearer.num_seats,
    bearer.status,
    bearer.failure_reason,
    bearer.expires_at,
    bearer.created_at,
    bearer.updated_at,
    bearer.is_unswept,
    seen_slot.status AS slot_status,
    seen_slot.has_started,
    seen_slot.remaining_capacity,
    seen_slot.max_seats_per_user,
    seen_slot.unswept_seats
FROM
    unnest(:user_ids::text[], :idempotency_keys::text[])
    WITH ORDINALITY AS asked (user_id, idempotency_key, ordinal)
LEFT JOIN current_bookings AS bearer
    ON asked.user_id = bearer.user_id AND asked.idempotency_key = bearer.idempotency_key
LEFT JOIN seen_slot ON TRUE
ORDER BY asked.ordinal;

-- name: is_key_free(user_id, idempotency_key)$
-- Whether no transaction under way claims the key. Decides nothing but which refusal is told.
SELECT pg_try_advisory_xact_lock(key_lock(:user_id::text, :idempotency_key::text));

-- name: wait_for_key(user_id, idempotency_key)^
-- Waits until no transaction under way claims the key, with no lock of a slot held meanwhile.
SELECT pg_advisory_xact_lock(key_lock(:user_id::text, :idempotency_key::text));

-- name: list_free_hold_places(user_ids, max_active_holds)
-- For each of these users the places that one more hold of theirs may take, in no order: requests that
-- come at once had better not all try the same.
SELECT
    holder.user_id,
    array_agg(place.number ORDER BY random()) AS places
FROM (SELECT DISTINCT unnest(:user_ids::text[]) AS user_id) AS holder
CROSS JOIN
    LATERAL (
        SELECT coalesce(array_agg(b.hold_place), '{}') AS places
        FROM bookings AS b
        WHERE
            b.user_id = holder.user_id
            AND is_pending(b.status)
            AND b.hold_place BETWEEN 1 AND :max_active_holds::integer
    ) AS held
CROSS JOIN generate_series(1, :max_active_holds::integer) AS place (number)
WHERE place.number <> all(held.places)
GROUP BY holder.user_id;

-- name: sum_seats_of_users(slot_id, user_ids)
-- The seats of a slot that each of these users has, booked or held, as they are stored, and which of
-- them are holds that have lapsed: such a one counts until it is failed, for its confirmation may have
-- run in time and not have committed yet. Exact where the slot is locked.
SELECT
    user_id,
    sum(num_seats)::integer AS seats,
    coalesce(array_agg(id::text) FILTER (WHERE is_unswept), '{}') AS lapsed_ids
FROM current_bookings
WHERE
    slot_id = :slot_id::uuid
    AND user_id = any(:user_ids::text[])
    AND stored_status IN ('PENDING', 'CONFIRMED')
GROUP BY user_id;

-- name: list_pending_holds(user_id)
-- A user's holds that were neither confirmed nor cancelled, and those that lapsed unswept among them.
-- seconds_left goes no further than an integer does, be it that somebody set an expiry by hand.
SELECT
    id,
    slot_id,
    is_unswept,
    least(ceil(extract(EPOCH FROM expires_at - statement_timestamp())), 2147483647)::integer
        AS seconds_left
FROM current_bookings
WHERE user_id = :user_id::text AND is_pending(stored_status)
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

-- name: confirm_booking(booking_id, owner, waits)^
-- Confirms a hold that has not lapsed when its lock is had: the clock is read after the wait. Locks
-- the booking alone; a confirmation moves no seats. No row comes back when it is not such a hold, or
-- when somebody has locked it and is not waited for.
WITH waited_for AS MATERIALIZED (
    SELECT
        b.id,
        b.expires_at
    FROM bookings AS b
    WHERE
        :waits::boolean
        AND b.id = :booking_id::uuid
        AND (:owner::text IS NULL OR b.user_id = :owner::text)
        AND is_pending(b.status)
    FOR NO KEY UPDATE OF b
),

passed_by AS MATERIALIZED (
    SELECT
        b.id,
        b.expires_at
    FROM bookings AS b
    WHERE
        NOT :waits::boolean
        AND b.id = :booking_id::uuid
        AND (:owner::text IS NULL OR b.user_id = :owner::text)
        AND is_pending(b.status)
    FOR NO KEY UPDATE OF b SKIP LOCKED
),

locked_hold AS MATERIALIZED (
    SELECT
        id,
        expires_at
    FROM waited_for
    UNION ALL
    SELECT
        id,
        expires_at
    FROM passed_by
),

confirmed AS (
    UPDATE bookings AS b
    SET status = 'CONFIRMED', updated_at = clock_timestamp()
    FROM locked_hold
    WHERE
        b.id = locked_hold.id
        AND is_pending(b.status)
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

-- name: cancel_booking(booking_id, owner, waits)^
-- Cancels a booking that stands and gives its seats back. Locks its slot, then the booking, then
-- decides. No row comes back when it does not stand (final already, or a hold that has lapsed), or
-- when somebody has locked either and is not waited for.
WITH wanted AS MATERIALIZED (
    SELECT b.slot_id
    FROM bookings AS b
    WHERE
        b.id = :booking_id::uuid
        AND (:owner::text IS NULL OR b.user_id = :owner::text)
        AND b.status IN ('PENDING', 'CONFIRMED')
),

slot_waited_for AS MATERIALIZED (
    SELECT s.id
    FROM slots AS s
    WHERE :waits::boolean AND s.id = (SELECT wanted.slot_id FROM wanted)
    FOR NO KEY UPDATE OF s
),

slot_passed_by AS MATERIALIZED (
    SELECT s.id
    FROM slots AS s
    WHERE NOT :waits::boolean AND s.id = (SELECT wanted.slot_id FROM wanted)
    FOR NO KEY UPDATE OF s SKIP LOCKED
),

booking_waited_for AS MATERIALIZED (
    SELECT
        b.id,
        b.status,
        b.expires_at
    FROM bookings AS b
    INNER JOIN slot_waited_for ON b.slot_id = slot_waited_for.id
    WHERE b.id = :booking_id::uuid AND b.status IN ('PENDING', 'CONFIRMED')
    FOR NO KEY UPDATE OF b
),

booking_passed_by AS MATERIALIZED (
    SELECT
        b.id,
        b.status,
        b.expires_at
    FROM bookings AS b
    INNER JOIN slot_passed_by ON b.slot_id = slot_passed_by.id
    WHERE b.id = :booking_id::uuid AND b.status IN ('PENDING', 'CONFIRMED')
    FOR NO KEY UPDATE OF b SKIP LOCKED
),

locked_booking AS MATERIALIZED (
    SELECT
        id,
        status,
        expires_at
    FROM booking_waited_for
    UNION ALL
    SELECT
        id,
        status,
        expires_at
    FROM booking_passed_by
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
        version = least(s.version, 9223372036854775806) + 1,
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
-- Bookings as they are shown, newest first, behind a keyset position. Walks those of each stored
-- status in their order: what is shown as FAILED may be stored as PENDING.
SELECT
    page.id,
    page.slot_id,
    page.user_id,
    page.num_seats,
    page.status,
    page.failure_reason,
    page.expires_at,
    page.created_at,
    page.updated_at
FROM (VALUES ('PENDING'), ('CONFIRMED'), ('FAILED'), ('CANCELLED')) AS stored (status)
CROSS JOIN
    LATERAL (
        SELECT
            b.id,
            b.slot_id,
            b.user_id,
            b.num_seats,
            b.status,
            b.failure_reason,
            b.expires_at,
            b.created_at,
            b.updated_at
        FROM current_bookings AS b
        WHERE
            b.stored_status = stored.status
            AND (:user_id::text IS NULL OR b.user_id = :user_id::text)
            AND (:slot_id::uuid IS NULL OR b.slot_id = :slot_id::uuid)
            AND (
                :status::text IS NULL
                OR stored.status <> 'PENDING'
                OR b.is_unswept = (:status::text = 'FAILED')
            )
            AND (
                :before_created_at::timestamptz IS NULL
                OR (b.created_at, b.id) < (:before_created_at::timestamptz, :before_id::uuid)
            )
        ORDER BY b.created_at DESC, b.id DESC
        LIMIT :max_rows::integer
    ) AS page
WHERE
    :status::text IS NULL
    OR stored.status = :status::text
    OR (:status::text = 'FAILED' AND stored.status = 'PENDING')
ORDER BY page.created_at DESC, page.id DESC
LIMIT :max_rows::integer;
