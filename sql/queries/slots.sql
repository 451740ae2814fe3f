-- name: insert_slot(slot_id, doctor_name, specialization, start_time, duration_minutes, total_capacity, max_seats_per_user)^
-- Creates a slot, all of its seats free; no row comes back when its start has passed.
INSERT INTO slots (
    id, doctor_name, specialization, start_time, duration_minutes,
    total_capacity, remaining_capacity, max_seats_per_user, created_at, updated_at
)
SELECT
    :slot_id::uuid,
    :doctor_name::text,
    :specialization::text,
    :start_time::timestamptz,
    :duration_minutes::integer,
    :total_capacity::integer,
    :total_capacity::integer,
    :max_seats_per_user::integer,
    clock.now,
    clock.now
FROM (SELECT clock_timestamp() AS now) AS clock
WHERE :start_time::timestamptz > clock.now
RETURNING
    id, doctor_name, specialization, start_time, duration_minutes, total_capacity,
    remaining_capacity, max_seats_per_user, status, version, created_at, updated_at;

-- name: find_slot(slot_id)^
-- One slot as it is shown, and how many of its seats belong to lapsed holds that stand unswept.
SELECT
    id,
    doctor_name,
    specialization,
    start_time,
    duration_minutes,
    total_capacity,
    remaining_capacity,
    max_seats_per_user,
    status,
    version,
    created_at,
    updated_at,
    unswept_seats
FROM current_slots
WHERE id = :slot_id::uuid;

-- name: lock_slot(slot_id)^
-- Locks the slot for the transaction and reads it as it is stored.
SELECT
    id,
    doctor_name,
    specialization,
    start_time,
    duration_minutes,
    total_capacity,
    remaining_capacity,
    max_seats_per_user,
    status,
    version,
    created_at,
    updated_at
FROM slots
WHERE id = :slot_id::uuid
FOR NO KEY UPDATE;

-- name: is_future(moment)$
-- Whether the moment is yet to come, by the database's clock.
SELECT :moment::timestamptz > clock_timestamp();

-- name: update_slot(slot_id, doctor_name, specialization, start_time, duration_minutes, total_capacity, max_seats_per_user, status)^
-- Writes an admin's change. Seats that are taken stay taken: remaining_capacity moves with
-- total_capacity, and its constraint refuses a capacity below what is booked.
UPDATE slots
SET
    doctor_name = :doctor_name::text,
    specialization = :specialization::text,
    start_time = :start_time::timestamptz,
    duration_minutes = :duration_minutes::integer,
    remaining_capacity = remaining_capacity + (:total_capacity::integer - total_capacity),
    total_capacity = :total_capacity::integer,
    max_seats_per_user = :max_seats_per_user::integer,
    status = :status::text,
    version = least(version, 9223372036854775806) + 1,
    updated_at = clock_timestamp()
WHERE id = :slot_id::uuid
RETURNING
    id, doctor_name, specialization, start_time, duration_minutes, total_capacity,
    remaining_capacity, max_seats_per_user, status, version, created_at, updated_at;

-- name: delete_slot(slot_id)!
-- Deletes a slot; the foreign key of bookings refuses one that a booking ever named.
DELETE FROM slots
WHERE id = :slot_id::uuid;

-- name: list_slots(starts_from, starts_before, status, min_seats, after_start_time, after_id, max_rows)
-- Slots, soonest first, behind a keyset position. Where min_seats is not null, those of the future
-- that have so many left, the seats of lapsed holds included. Walks the slots of each status in their
-- order; reads the lapsed holds only if it meets a slot with too few left.
WITH lapsed AS (
    SELECT slot_id
    FROM bookings
    WHERE status = 'PENDING' AND expires_at <= statement_timestamp()
)

SELECT
    s.id,
    s.doctor_name,
    s.specialization,
    s.start_time,
    s.duration_minutes,
    s.total_capacity,
    s.remaining_capacity,
    s.max_seats_per_user,
    s.status,
    s.version,
    s.created_at,
    s.updated_at
FROM (
    SELECT found.id
    FROM (VALUES ('OPEN'), ('CLOSED')) AS wanted (status)
    CROSS JOIN
        LATERAL (
            SELECT
                stored.start_time,
                stored.id
            FROM slots AS stored
            WHERE
                stored.status = wanted.status
                AND (
                    :starts_from::timestamptz IS NULL
                    OR stored.start_time >= :starts_from::timestamptz
                )
                AND (
                    :starts_before::timestamptz IS NULL
                    OR stored.start_time < :starts_before::timestamptz
                )
                AND (
                    :after_start_time::timestamptz IS NULL
                    OR (stored.start_time, stored.id)
                    > (:after_start_time::timestamptz, :after_id::uuid)
                )
                AND (
                    :min_seats::integer IS NULL
                    OR (
                        stored.start_time > statement_timestamp()
                        AND stored.total_capacity >= :min_seats::integer
                        AND (
                            stored.remaining_capacity >= :min_seats::integer
                            OR (
                                stored.id IN (SELECT lapsed.slot_id FROM lapsed)
                                AND stored.remaining_capacity + (
                                    SELECT sum(b.num_seats)
                                    FROM bookings AS b
                                    WHERE
                                        b.slot_id = stored.id
                                        AND is_pending(b.status)
                                        AND b.expires_at <= statement_timestamp()
                                ) >= :min_seats::integer
                            )
                        )
                    )
                )
            ORDER BY stored.start_time, stored.id
            LIMIT :max_rows::integer
        ) AS found
    WHERE :status::text IS NULL OR wanted.status = :status::text
    ORDER BY found.start_time, found.id
    LIMIT :max_rows::integer
) AS page
INNER JOIN current_slots AS s ON page.id = s.id
ORDER BY s.start_time, s.id;
