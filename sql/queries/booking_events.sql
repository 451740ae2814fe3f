-- name: list_booking_events(booking_id, after_id, max_rows)
-- The history of a booking, oldest first, behind a keyset position.
SELECT
    id,
    type,
    from_status,
    to_status,
    seats,
    at
FROM booking_events
WHERE
    booking_id = :booking_id::uuid
    AND (:after_id::bigint IS NULL OR id > :after_id::bigint)
ORDER BY id
LIMIT :max_rows::integer;
