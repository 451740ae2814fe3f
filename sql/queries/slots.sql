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

-- name: search_slots(doctor_name, doctor_name_pattern, specialization, specialization_pattern, starts_from, starts_before, status, min_seats, after_start_time, after_id, few_providers, few_walked, max_walked, max_rows)
-- As list_slots, those whose doctor's name and specialization contain a text, in any case. Finds the
-- providers that match; where no doctor is asked for, a specialization is one. Walks the next slots until
-- the page is whole, max_walked at most, and few_walked where no more than few_providers match.
-- Where that is not enough, takes the soonest slot of each provider (its head), the providers whose
-- heads come first, and the page from their slots: no slot of the page comes before its provider's head.
WITH lapsed AS (
    SELECT slot_id
    FROM bookings
    WHERE status = 'PENDING' AND expires_at <= statement_timestamp()
),

matching AS MATERIALIZED (
    SELECT
        doctor_name,
        specialization
    FROM providers
    WHERE
        doctor_name ILIKE :doctor_name_pattern::text
        AND doctor_name_runs
        @> letter_runs(:doctor_name::text, least(char_length(lower(:doctor_name::text)), 3))
        AND (
            :specialization::text IS NULL
            OR (
                specialization ILIKE :specialization_pattern::text
                AND specialization_runs
                @> letter_runs(
                    :specialization::text, least(char_length(lower(:specialization::text)), 3)
                )
            )
        )
    UNION ALL
    SELECT
        NULL,
        specialization
    FROM specializations
    WHERE
        :doctor_name::text IS NULL
        AND specialization ILIKE :specialization_pattern::text
        AND specialization_runs
        @> letter_runs(
            :specialization::text, least(char_length(lower(:specialization::text)), 3)
        )
),

are_few AS MATERIALIZED (
    SELECT count(*) <= :few_providers::integer AS answer
    FROM (SELECT specialization FROM matching LIMIT :few_providers::integer + 1) AS enough  -- noqa: AM09
),

walked AS MATERIALIZED (
    SELECT stored.id
    FROM (
        SELECT
            soonest.id,
            soonest.doctor_name,
            soonest.specialization,
            soonest.start_time,
            soonest.total_capacity,
            soonest.remaining_capacity
        FROM (
            (
                SELECT
                    id,
                    doctor_name,
                    specialization,
                    start_time,
                    total_capacity,
                    remaining_capacity
                FROM slots
                WHERE
                    status = 'OPEN'
                    AND (:status::text IS NULL OR :status::text = 'OPEN')
                    AND (:min_seats::integer IS NULL OR start_time > statement_timestamp())
                    AND (
                        :starts_from::timestamptz IS NULL OR start_time >= :starts_from::timestamptz
                    )
                    AND (
                        :starts_before::timestamptz IS NULL
                        OR start_time < :starts_before::timestamptz
                    )
                    AND (
                        :after_start_time::timestamptz IS NULL
                        OR (start_time, id) > (:after_start_time::timestamptz, :after_id::uuid)
                    )
                ORDER BY start_time, id
                LIMIT :max_walked::integer
            )
            UNION ALL
            (
                SELECT
                    id,
                    doctor_name,
                    specialization,
                    start_time,
                    total_capacity,
                    remaining_capacity
                FROM slots
                WHERE
                    status = 'CLOSED'
                    AND (:status::text IS NULL OR :status::text = 'CLOSED')
                    AND (:min_seats::integer IS NULL OR start_time > statement_timestamp())
                    AND (
                        :starts_from::timestamptz IS NULL OR start_time >= :starts_from::timestamptz
                    )
                    AND (
                        :starts_before::timestamptz IS NULL
                        OR start_time < :starts_before::timestamptz
                    )
                    AND (
                        :after_start_time::timestamptz IS NULL
                        OR (start_time, id) > (:after_start_time::timestamptz, :after_id::uuid)
                    )
                ORDER BY start_time, id
                LIMIT :max_walked::integer
            )
        ) AS soonest
        ORDER BY soonest.start_time, soonest.id
        LIMIT
            CASE
                WHEN (SELECT answer FROM are_few) THEN :few_walked::integer
                ELSE :max_walked::integer
            END
    ) AS stored
    WHERE
        (:doctor_name::text IS NULL OR stored.doctor_name ILIKE :doctor_name_pattern::text)
        AND (
            :specialization::text IS NULL
            OR stored.specialization ILIKE :specialization_pattern::text
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
),

is_whole AS MATERIALIZED (
    SELECT count(*) >= :max_rows::integer AS answer
    FROM walked
),

heads AS MATERIALIZED (
    SELECT
        matching.doctor_name,
        matching.specialization,
        wanted.status,
        head.start_time,
        head.id
    FROM matching
    CROSS JOIN (VALUES ('OPEN'), ('CLOSED')) AS wanted (status)
    CROSS JOIN
        LATERAL (
            SELECT
                stored.start_time,
                stored.id
            FROM slots AS stored
            WHERE
                (:doctor_name::text IS NULL OR stored.doctor_name = matching.doctor_name)
                AND coalesce(stored.specialization, '') = matching.specialization
                AND stored.status = wanted.status
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
            LIMIT 1
        ) AS head
    WHERE
        (:status::text IS NULL OR wanted.status = :status::text)
        AND NOT (SELECT answer FROM is_whole)
    ORDER BY head.start_time, head.id
    LIMIT :max_rows::integer
),

last_head AS MATERIALIZED (
    SELECT
        CASE WHEN count(*) >= :max_rows::integer THEN max(start_time) ELSE 'infinity' END
            AS start_time
    FROM heads
),

page AS (
    SELECT id
    FROM walked
    WHERE (SELECT answer FROM is_whole)
    UNION ALL
    SELECT found.id
    FROM (
        SELECT
            next.start_time,
            next.id
        FROM heads
        CROSS JOIN last_head
        CROSS JOIN
            LATERAL (
                SELECT
                    stored.start_time,
                    stored.id
                FROM slots AS stored
                WHERE
                    (:doctor_name::text IS NULL OR stored.doctor_name = heads.doctor_name)
                    AND coalesce(stored.specialization, '') = heads.specialization
                    AND stored.status = heads.status
                    AND stored.start_time <= last_head.start_time
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
            ) AS next
        ORDER BY next.start_time, next.id
        LIMIT :max_rows::integer
    ) AS found
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
FROM page
INNER JOIN current_slots AS s ON page.id = s.id
ORDER BY s.start_time, s.id;
