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
    version = version + 1,
    updated_at = clock_timestamp()
WHERE id = :slot_id::uuid
RETURNING
    id, doctor_name, specialization, start_time, duration_minutes, total_capacity,
    remaining_capacity, max_seats_per_user, status, version, created_at, updated_at;

-- name: delete_slot(slot_id)!
-- Deletes a slot; the foreign key of bookings refuses one that a booking ever named.
DELETE FROM slots
WHERE id = :slot_id::uuid;

-- name: list_slots(doctor_name_pattern, specialization_pattern, starts_from, starts_before, status, after_start_time, after_id, max_rows)
-- Every slot, soonest first, behind a keyset position.
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
FROM current_slots
WHERE
    (:doctor_name_pattern::text IS NULL OR doctor_name ILIKE :doctor_name_pattern::text)
    AND (
        :specialization_pattern::text IS NULL
        OR specialization ILIKE :specialization_pattern::text
    )
    AND (:starts_from::timestamptz IS NULL OR start_time >= :starts_from::timestamptz)
    AND (:starts_before::timestamptz IS NULL OR start_time < :starts_before::timestamptz)
    AND (:status::text IS NULL OR status = :status::text)
    AND (
        :after_start_time::timestamptz IS NULL
        OR (start_time, id) > (:after_start_time::timestamptz, :after_id::uuid)
    )
ORDER BY start_time, id
LIMIT :max_rows::integer;

-- name: list_bookable_slots(doctor_name_pattern, specialization_pattern, starts_from, starts_before, min_seats, after_start_time, after_id, max_rows)
-- Open slots of the future with enough seats, soonest first, behind a keyset position.
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
FROM current_slots
WHERE
    status = 'OPEN'
    AND start_time > statement_timestamp()
    AND remaining_capacity >= :min_seats::integer
    AND (:doctor_name_pattern::text IS NULL OR doctor_name ILIKE :doctor_name_pattern::text)
    AND (
        :specialization_pattern::text IS NULL
        OR specialization ILIKE :specialization_pattern::text
    )
    AND (:starts_from::timestamptz IS NULL OR start_time >= :starts_from::timestamptz)
    AND (:starts_before::timestamptz IS NULL OR start_time < :starts_before::timestamptz)
    AND (
        :after_start_time::timestamptz IS NULL
        OR (start_time, id) > (:after_start_time::timestamptz, :after_id::uuid)
    )
ORDER BY start_time, id
LIMIT :max_rows::integer;
