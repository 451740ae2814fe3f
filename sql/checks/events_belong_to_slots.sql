-- An event names its booking's slot; a move of seats, at a version that the slot has had. A version
-- moves the seats of one booking, or of holds that expired together.
WITH events AS (
    SELECT
        e.id AS event_id,
        e.booking_id,
        e.slot_id,
        e.slot_version,
        count(*) OVER same_version AS moves_of_version,
        count(*) FILTER (WHERE e.type = 'EXPIRED') OVER same_version AS expiries_of_version
    FROM booking_events AS e
    WINDOW same_version AS (PARTITION BY e.slot_id, e.slot_version)
)

SELECT
    events.event_id,
    events.booking_id,
    events.slot_id,
    events.slot_version
FROM events
LEFT JOIN bookings AS b ON events.booking_id = b.id
LEFT JOIN slots AS s ON events.slot_id = s.id
WHERE
    b.slot_id IS DISTINCT FROM events.slot_id
    OR s.id IS NULL
    OR events.slot_version > s.version
    OR events.slot_version < 2
    OR (
        events.slot_version IS NOT NULL
        AND events.moves_of_version > 1
        AND events.expiries_of_version <> events.moves_of_version
    )
ORDER BY events.event_id;
