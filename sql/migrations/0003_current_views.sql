-- Slots and bookings as they are shown: a hold past its expiry is FAILED and its seats are free,
-- whether it was swept or not. statement_timestamp(), not clock_timestamp(): one answer is of one
-- moment, and the indexes on expires_at serve.

CREATE VIEW current_bookings AS
SELECT
    b.id,
    b.slot_id,
    b.user_id,
    b.num_seats,
    CASE WHEN lapse.has_lapsed THEN 'FAILED' ELSE b.status END AS status,
    CASE WHEN lapse.has_lapsed THEN 'EXPIRED' ELSE b.failure_reason END AS failure_reason,
    b.expires_at,
    b.idempotency_key,
    b.created_at,
    b.updated_at,
    lapse.has_lapsed AS is_unswept
FROM bookings AS b
CROSS JOIN LATERAL (
    SELECT b.status = 'PENDING' AND b.expires_at <= statement_timestamp() AS has_lapsed
) AS lapse;

CREATE VIEW current_slots AS
SELECT
    s.id,
    s.doctor_name,
    s.specialization,
    s.start_time,
    s.duration_minutes,
    s.total_capacity,
    s.remaining_capacity + lapsed.seats AS remaining_capacity,
    s.status,
    s.version,
    s.created_at,
    s.updated_at,
    lapsed.seats AS unswept_seats
FROM slots AS s
CROSS JOIN LATERAL (
    SELECT coalesce(sum(b.num_seats), 0)::integer AS seats
    FROM bookings AS b
    WHERE b.slot_id = s.id AND b.status = 'PENDING' AND b.expires_at <= statement_timestamp()
) AS lapsed;
