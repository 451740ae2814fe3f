-- A booking's seats leave the slot once and return once, when it becomes FAILED or CANCELLED.
WITH moved AS (
    SELECT
        booking_id,
        sum(seats) FILTER (WHERE type IN ('HELD', 'BOOKED')) AS seats_taken,
        sum(seats) FILTER (WHERE type IN ('EXPIRED', 'CANCELLED')) AS seats_returned
    FROM booking_events
    GROUP BY booking_id
)

SELECT
    b.id AS booking_id,
    b.status,
    b.num_seats,
    moved.seats_taken,
    moved.seats_returned
FROM bookings AS b
LEFT JOIN moved ON b.id = moved.booking_id
WHERE
    coalesce(moved.seats_taken, 0) <> b.num_seats
    OR coalesce(moved.seats_returned, 0)
    <> CASE WHEN b.status IN ('FAILED', 'CANCELLED') THEN b.num_seats ELSE 0 END
ORDER BY b.id;
