-- The seats that remain and the seats of bookings that stand are the slot's capacity.
WITH standing AS (
    SELECT
        slot_id,
        sum(num_seats) AS seats
    FROM bookings
    WHERE status IN ('PENDING', 'CONFIRMED')
    GROUP BY slot_id
)

SELECT
    s.id AS slot_id,
    s.total_capacity,
    s.remaining_capacity,
    coalesce(standing.seats, 0) AS booked_seats
FROM slots AS s
LEFT JOIN standing ON s.id = standing.slot_id
WHERE s.remaining_capacity + coalesce(standing.seats, 0) <> s.total_capacity
ORDER BY s.id;
