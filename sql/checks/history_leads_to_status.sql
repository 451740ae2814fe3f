-- Each booking's events follow one another, from nothing to the status that it has.
WITH steps AS (
    SELECT
        e.booking_id,
        e.id AS event_id,
        e.from_status,
        e.to_status,
        lag(e.to_status) OVER history AS status_before,
        lead(e.id) OVER history IS NULL AS is_last
    FROM booking_events AS e
    WINDOW history AS (PARTITION BY e.booking_id ORDER BY e.id)
)

SELECT
    b.id AS booking_id,
    b.status,
    steps.event_id,
    steps.from_status,
    steps.to_status
FROM bookings AS b
LEFT JOIN steps ON b.id = steps.booking_id
WHERE
    steps.event_id IS NULL
    OR steps.from_status IS DISTINCT FROM steps.status_before
    OR (steps.is_last AND steps.to_status <> b.status)
ORDER BY b.id, steps.event_id;
