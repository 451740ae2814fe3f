-- name: find_provider_hashes(doctor_name, doctor_name_pattern, specialization, specialization_pattern, max_rows)
-- Whose slots a search finds: the hash of each provider whose doctor's name and specialization contain a
-- text, in any case. Where no doctor is asked for, a null for each specialization.
SELECT provider_hash(doctor_name, specialization)
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
SELECT NULL
FROM specializations
WHERE
    :doctor_name::text IS NULL
    AND specialization ILIKE :specialization_pattern::text
    AND specialization_runs
    @> letter_runs(
        :specialization::text, least(char_length(lower(:specialization::text)), 3)
    )
LIMIT :max_rows::integer;

-- name: search_near(provider_hashes, doctor_name_pattern, specialization_pattern, starts_from, starts_before, status, min_seats, after_start_time, after_id, entries_per_head, max_rows)
-- As list_slots, those of a few doctors that begin before a horizon. Fetches no others: the index tells
-- whose each slot is. At the pace of the next slots, entries_per_head of them for each doctor lie before
-- the horizon: to read so many index entries costs what to look at each doctor's soonest slot would. The
-- hashes are selected, or the planner would look up each of them in its statistics.
WITH lapsed AS (
    SELECT slot_id
    FROM bookings
    WHERE status = 'PENDING' AND expires_at <= statement_timestamp()
),

horizon AS MATERIALIZED (
    SELECT
        min(
            CASE
                WHEN soonest.slots < :entries_per_head::integer THEN 'infinity'
                ELSE
                    soonest.first_start
                    + least(
                        soonest.last_start - soonest.first_start,
                        interval '200000 years' / cardinality(:provider_hashes::bigint[])
                    )
                    * cardinality(:provider_hashes::bigint[])
            END
        ) AS start_time
    FROM (VALUES ('OPEN'), ('CLOSED')) AS wanted (status)
    CROSS JOIN
        LATERAL (
            SELECT
                count(*) AS slots,
                min(next.start_time) AS first_start,
                max(next.start_time) AS last_start
            FROM (
                SELECT stored.start_time
                FROM slots AS stored
                WHERE
                    stored.status = wanted.status
                    AND (:min_seats::integer IS NULL OR stored.start_time > statement_timestamp())
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
                ORDER BY stored.start_time, stored.id
                LIMIT :entries_per_head::integer
            ) AS next
        ) AS soonest
    WHERE :status::text IS NULL OR wanted.status = :status::text
),

page AS (
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
                AND stored.start_time <= (SELECT horizon.start_time FROM horizon)
                AND provider_hash(stored.doctor_name, stored.specialization) = any(
                    (SELECT :provider_hashes::bigint[])::bigint[]
                )
                AND stored.doctor_name ILIKE :doctor_name_pattern::text
                AND (
                    :specialization_pattern::text IS NULL
                    OR stored.specialization ILIKE :specialization_pattern::text
                )
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

-- name: search_by_walk(doctor_name_pattern, specialization_pattern, starts_from, starts_before, status, min_seats, after_start_time, after_id, max_walked, max_rows)
-- As list_slots, those among the next max_walked slots whose doctor's name and specialization match.
WITH lapsed AS (
    SELECT slot_id
    FROM bookings
    WHERE status = 'PENDING' AND expires_at <= statement_timestamp()
),

page AS (
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
        LIMIT :max_walked::integer
    ) AS stored
    WHERE
        (:doctor_name_pattern::text IS NULL OR stored.doctor_name ILIKE :doctor_name_pattern::text)
        AND (
            :specialization_pattern::text IS NULL
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

-- name: search_by_heads(doctor_name, doctor_name_pattern, specialization, specialization_pattern, starts_from, starts_before, status, min_seats, after_start_time, after_id, max_rows)
-- As list_slots, those whose doctor's name and specialization match. Takes the soonest slot of each
-- provider that does (its head), the providers whose heads come first, and the page from their slots: no
-- slot of the page comes before its provider's head. Where no doctor is asked for, a specialization is a
-- provider.
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
    WHERE :status::text IS NULL OR wanted.status = :status::text
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
    SELECT next.id
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
