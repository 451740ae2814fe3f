-- The holds of one slot and of one user are found by indexes of pending ones alone. What PostgreSQL knows of
-- how many are pending is of its last ANALYZE, before the rush: few or none. Whatever named the status
-- then looked so rare that to read all pending bookings seemed no dearer than to find one by its key.

-- Of a function's answer it assumes a third of the rows, which keeps it to the keys. For that it must not be
-- inlined, so it is no SQL function.
CREATE FUNCTION is_pending(status text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    RETURN status = 'PENDING';
END
$$;

DROP INDEX bookings_slot_id_expires_at_pending_idx;
CREATE INDEX bookings_slot_id_expires_at_pending_idx ON bookings (slot_id, expires_at)
INCLUDE (num_seats) WHERE is_pending(status);

DROP INDEX bookings_user_id_hold_place_pending_uq;
CREATE UNIQUE INDEX bookings_user_id_hold_place_pending_uq ON bookings (user_id, hold_place)
WHERE is_pending(status);

CREATE OR REPLACE VIEW current_slots AS
SELECT
    s.id,
    s.doctor_name,
    s.specialization,
    s.start_time,
    s.duration_minutes,
    s.total_capacity,
    s.remaining_capacity + lapsed.seats AS remaining_capacity,
    s.max_seats_per_user,
    s.status,
    s.version,
    s.created_at,
    s.updated_at,
    lapsed.seats AS unswept_seats
FROM slots AS s
CROSS JOIN LATERAL (
    SELECT coalesce(sum(b.num_seats), 0)::integer AS seats
    FROM bookings AS b
    WHERE b.slot_id = s.id AND is_pending(b.status) AND b.expires_at <= statement_timestamp()
) AS lapsed;
