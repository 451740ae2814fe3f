-- A booking's seats leave the slot once and return once, later, when it becomes FAILED or CANCELLED.
WITH moved AS (
    SELECT
        booking_id,
        sum(seats) FILTER (WHERE type IN ('HELD', 'BOOKED')) AS seats_taken,
        sum(seats) FILTER (WHERE type IN ('EXPIRED', 'CANCELLED')) AS seats_returned,
        max(slot_version) FILTER (WHERE type IN ('HELD', 'BOOKED')) AS taken_in_version,
        min(slot_version) FILTER (WHERE type IN ('EXPIRED', 'CANCELLED')) AS returned_in_version
    FROM booking_events
    GROUP BY booking_id
)

SELECT
    b.id AS booking_id,
    b.status,
    b.num_seats,
    moved.seats_taken,
    moved.seats_returned,
    moved.taken_in_version,
    moved.returned_in_version
FROM bookings AS b
LEFT JOIN moved ON b.id = moved.booking_id
WHERE
    coalesce(moved.seats_taken, 0) <> b.num_seats
    OR coalesce(moved.seats_returned, 0)
    <> CASE WHEN b.status IN ('FAILED', 'CANCELLED') THEN b.num_seats ELSE 0 END
    OR moved.taken_in_version >= moved.returned_in_version
ORDER BY b.id;
