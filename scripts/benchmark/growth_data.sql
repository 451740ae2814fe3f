-- Fills an empty, migrated database with slots, bookings and their events, as the application would
-- have left them: every check of sql/checks holds. Parameters: slots, bookings, providers.
--
-- Half of the slots are past, one of a hundred is closed, three of ten are sold out. A twenty-fifth
-- of all bookings are one user's, and a fiftieth are of one slot, which has yet to begin and has a
-- million seats. The last slot of all has more seats than the others, and a doctor whom no other slot
-- has. The newest 200 bookings are live holds.
SET LOCAL session_replication_role = replica;
SET LOCAL work_mem = '256MB';

CREATE TEMPORARY TABLE made_slots ON COMMIT DROP AS
SELECT
    made.n,
    (
        lpad(to_hex((extract(EPOCH FROM now()) * 1000)::bigint - 86400000000 + made.n), 12, '0')
        || '7' || substr(md5('slot' || made.n), 1, 3)
        || '8' || substr(md5('slot' || made.n), 4, 15)
    )::uuid AS id,
    CASE
        WHEN made.n = %(slots)s THEN 'Dr. Zoë Æsk'
        ELSE 'Dr. '
        || (ARRAY[
            'Asha', 'Ben', 'Chloé', 'Dmitri', 'Elif', 'Femi', 'Grace', 'Hana', 'Igor', 'Jürgen',
            'Kim', 'Léa', 'Mina', 'Noor', 'Olga', 'Pablo', 'Quinn', 'Rosa', 'Sven', 'Tala'
        ])[made.provider %% 20 + 1]
        || ' '
        || (ARRAY['Abel', 'Brandt', 'Castro', 'Demir', 'Eze', 'Fuchs', 'Girard', 'Hoang', 'Ito', 'Jung'])
            [made.provider / 20 %% 10 + 1]
        || lower((ARRAY['Son', 'Man', 'Wood', 'Stein', 'Berg', 'Feld', 'Land', 'Field', 'By', 'Mark'])
            [made.provider / 200 %% 10 + 1])
        || coalesce(' ' || nullif(made.provider / 2000, 0), '')
    END AS doctor_name,
    CASE
        WHEN made.n = %(slots)s THEN 'Æsthetics'
        ELSE (ARRAY[
            'Cardiology', 'Dermatology', 'Oncology', 'Neurology', 'Paediatrics', 'Radiology',
            'Urology', 'Orthopaedics', 'Psychiatry', 'Ophthalmology', 'Surgery', 'Gynaecology',
            'Haematology', 'Immunology', 'Nephrology', 'Pathology', 'Rheumatology', 'Endocrinology',
            'Geriatrics', NULL
        ])[made.provider * 7 / 3 %% 20 + 1]
    END AS specialization,
    -- A step that has no factor in common with the count visits every place once: slots that were
    -- made one after another lie far apart in time.
    CASE
        WHEN made.n = 1 THEN now() + interval '30 days'
        WHEN made.n = %(slots)s THEN now() + interval '2 years'
        ELSE now() - interval '1 year'
            + interval '2 years' * ((made.n * 7919) %% %(slots)s) / %(slots)s
    END AS start_time
FROM (
    SELECT
        n,
        hashint8(n)::bigint %% %(providers)s + %(providers)s AS provider
    FROM generate_series(1::bigint, %(slots)s) AS n
) AS made;

CREATE UNIQUE INDEX ON made_slots (n);

INSERT INTO bookings (
    id, slot_id, user_id, num_seats, status, failure_reason, expires_at, idempotency_key,
    created_at, updated_at
)
SELECT
    (
        lpad(to_hex((extract(EPOCH FROM made.created_at) * 1000)::bigint), 12, '0')
        || '7' || substr(md5('booking' || made.n), 1, 3)
        || '8' || substr(md5('booking' || made.n), 4, 15)
    )::uuid,
    s.id,
    CASE
        WHEN made.n %% 25 = 1 THEN 'user-of-many'
        ELSE 'user-' || made.n %% greatest(%(bookings)s / 50, 1)
    END,
    1 + made.n %% 3,
    made.status,
    CASE WHEN made.status = 'FAILED' THEN 'EXPIRED' END,
    CASE
        WHEN made.status = 'PENDING' THEN now() + interval '1 day'
        WHEN made.was_hold THEN made.created_at + interval '2 minutes'
    END,
    CASE WHEN made.n %% 2 = 0 THEN 'key-' || made.n END,
    made.created_at,
    made.created_at + CASE made.status
        WHEN 'CANCELLED' THEN interval '1 hour'
        WHEN 'FAILED' THEN interval '2 minutes'
        WHEN 'CONFIRMED' THEN made.was_hold::integer * interval '1 minute'
        ELSE interval '0'
    END
FROM (
    SELECT
        n,
        now() - interval '1 year' + interval '1 year' * n / (%(bookings)s + 1) AS created_at,
        lot.drawn >= 75 AS was_hold,
        CASE
            WHEN n > %(bookings)s - 200 THEN 'PENDING'
            WHEN lot.drawn < 85 THEN 'CONFIRMED'
            WHEN lot.drawn < 95 THEN 'CANCELLED'
            ELSE 'FAILED'
        END AS status
    FROM generate_series(1::bigint, %(bookings)s) AS n
    CROSS JOIN LATERAL (SELECT abs(hashint8(n)::bigint) %% 100 AS drawn) AS lot
) AS made
INNER JOIN made_slots AS s
    ON s.n = CASE WHEN made.n %% 50 = 0 THEN 1 ELSE 2 + made.n * 7907 %% (%(slots)s - 1) END
ORDER BY made.n;

INSERT INTO booking_events (
    booking_id, slot_id, type, from_status, to_status, seats, slot_version, at
)
SELECT
    b.id,
    b.slot_id,
    step.type,
    step.from_status,
    step.to_status,
    CASE WHEN step.type = 'CONFIRMED' THEN 0 ELSE b.num_seats END,
    CASE
        WHEN step.type <> 'CONFIRMED'
            THEN 1 + row_number() OVER (
                PARTITION BY b.slot_id, step.type = 'CONFIRMED' ORDER BY step.at, b.id
            )
    END,
    step.at
FROM bookings AS b
CROSS JOIN LATERAL (
    SELECT
        CASE WHEN b.expires_at IS NULL THEN 'BOOKED' ELSE 'HELD' END AS type,
        NULL AS from_status,
        CASE WHEN b.expires_at IS NULL THEN 'CONFIRMED' ELSE 'PENDING' END AS to_status,
        b.created_at AS at
    UNION ALL
    SELECT
        CASE WHEN b.status = 'FAILED' THEN 'EXPIRED' ELSE b.status END,
        CASE WHEN b.expires_at IS NULL THEN 'CONFIRMED' ELSE 'PENDING' END,
        b.status,
        b.updated_at
    WHERE b.updated_at > b.created_at
) AS step
ORDER BY step.at, b.id;

INSERT INTO slots (
    id, doctor_name, specialization, start_time, duration_minutes, total_capacity,
    remaining_capacity, status, version, created_at, updated_at
)
SELECT
    s.id,
    s.doctor_name,
    s.specialization,
    s.start_time,
    30,
    seats.total,
    seats.total - coalesce(booked.seats, 0),
    CASE WHEN s.n %% 100 = 99 THEN 'CLOSED' ELSE 'OPEN' END,
    coalesce(moved.version, 1),
    now() - interval '1 year',
    now() - interval '1 year'
FROM made_slots AS s
LEFT JOIN (
    SELECT
        slot_id,
        sum(num_seats)::integer AS seats
    FROM bookings
    WHERE status IN ('PENDING', 'CONFIRMED')
    GROUP BY slot_id
) AS booked ON s.id = booked.slot_id
LEFT JOIN (
    SELECT
        slot_id,
        max(slot_version) AS version
    FROM booking_events
    GROUP BY slot_id
) AS moved ON s.id = moved.slot_id
CROSS JOIN LATERAL (
    SELECT
        CASE
            WHEN s.n = 1 THEN 1000000
            WHEN s.n = %(slots)s THEN 1000
            WHEN s.n %% 10 < 3 THEN greatest(coalesce(booked.seats, 0), 1)
            ELSE coalesce(booked.seats, 0) + 5 + s.n %% 40
        END AS total
) AS seats;

INSERT INTO providers (doctor_name, specialization)
SELECT DISTINCT
    doctor_name,
    coalesce(specialization, '')
FROM made_slots;

INSERT INTO specializations (specialization)
SELECT DISTINCT specialization
FROM providers;
