-- Limits against hoarding. Null is no limit.

-- Most seats of the slot that one user may have, decided under the slot's lock.
ALTER TABLE slots
ADD COLUMN max_seats_per_user integer,
ADD CONSTRAINT slots_max_seats_per_user_ck CHECK (max_seats_per_user BETWEEN 1 AND 1000000);

-- A hold takes one of as many places as its user may have holds at a time, and leaves it when it is
-- pending no more. Two requests of a user, whatever their slots, cannot take the same place: that
-- decides the limit without a lock of the user's own.
ALTER TABLE bookings
ADD COLUMN hold_place integer,
ADD CONSTRAINT bookings_hold_place_ck CHECK (hold_place >= 1);

CREATE UNIQUE INDEX bookings_user_id_hold_place_pending_uq ON bookings (user_id, hold_place)
WHERE status = 'PENDING';

DROP VIEW current_slots;

CREATE VIEW current_slots AS
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
    WHERE b.slot_id = s.id AND b.status = 'PENDING' AND b.expires_at <= statement_timestamp()
) AS lapsed;
