-- Makes holds, as the application would, that lapse at one moment: hold number n is of slot number n
-- modulo how many slots there are; each must have seats for its share. Returns the moment. Parameters:
-- first_slot and last_slot (numbers, see database.py), holds, label, lapse_after (seconds).
WITH chosen AS MATERIALIZED (
    SELECT
        s.id,
        s.version,
        row_number() OVER (ORDER BY s.id) - 1 AS position
    FROM slots AS s
    WHERE
        s.id BETWEEN
        ('00000000-0000-7000-8000-' || lpad(%(first_slot)s::text, 12, '0'))::uuid
        AND ('00000000-0000-7000-8000-' || lpad(%(last_slot)s::text, 12, '0'))::uuid
),

moment AS MATERIALIZED (
    SELECT
        clock_timestamp() AS at,
        (SELECT count(*) FROM chosen) AS slots
),

held AS (
    INSERT INTO bookings (
        id, slot_id, user_id, num_seats, status, expires_at, hold_place, created_at, updated_at
    )
    SELECT
        (
            lpad(to_hex((extract(EPOCH FROM moment.at) * 1000)::bigint), 12, '0')
            || '7' || substr(md5(%(label)s::text || n), 1, 3)
            || '8' || substr(md5(%(label)s::text || n), 4, 15)
        )::uuid,
        chosen.id,
        %(label)s::text || '/' || n,
        1,
        'PENDING',
        moment.at + make_interval(secs => %(lapse_after)s),
        1,
        moment.at,
        moment.at
    FROM generate_series(0::bigint, %(holds)s::bigint - 1) AS n
    CROSS JOIN moment
    INNER JOIN chosen ON chosen.position = n %% moment.slots
    RETURNING id, slot_id, num_seats, created_at
),

taken AS (
    UPDATE slots AS s
    SET
        remaining_capacity = s.remaining_capacity - sold.seats,
        version = s.version + sold.bookings,
        updated_at = clock_timestamp()
    FROM (
        SELECT
            slot_id,
            count(*) AS bookings,
            sum(num_seats)::integer AS seats
        FROM held
        GROUP BY slot_id
    ) AS sold
    WHERE s.id = sold.slot_id
),

logged AS (
    INSERT INTO booking_events (booking_id, slot_id, type, to_status, seats, slot_version, at)
    SELECT
        held.id,
        held.slot_id,
        'HELD',
        'PENDING',
        held.num_seats,
        chosen.version + row_number() OVER (PARTITION BY held.slot_id ORDER BY held.id),
        held.created_at
    FROM held
    INNER JOIN chosen ON held.slot_id = chosen.id
)

SELECT moment.at + make_interval(secs => %(lapse_after)s) AS lapse_at
FROM moment
