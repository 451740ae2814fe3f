-- An event names its booking's slot; a move of seats, at a version that the slot has had. A version
-- moves the seats of one booking, or of holds that expired together. Versions that move more than once are few, and
-- their index finds them; all events in the order of their slots would be read one by one.
WITH shared AS MATERIALIZED (
    SELECT
        slot_id,
        slot_version
    FROM booking_events
    WHERE slot_version IS NOT NULL
    GROUP BY slot_id, slot_version
    HAVING count(*) > 1
),

mixed AS MATERIALIZED (
    SELECT
        e.slot_id,
        e.slot_version
    FROM booking_events AS e
    INNER JOIN shared ON e.slot_id = shared.slot_id AND e.slot_version = shared.slot_version
    GROUP BY e.slot_id, e.slot_version
    HAVING bool_or(e.type <> 'EXPIRED')
),

astray AS (
    SELECT e.id
    FROM booking_events AS e
    LEFT JOIN bookings AS b ON e.booking_id = b.id
    LEFT JOIN slots AS s ON e.slot_id = s.id
    WHERE
        b.slot_id IS DISTINCT FROM e.slot_id
        OR s.id IS NULL
        OR e.slot_version > s.version
        OR e.slot_version < 2
    UNION
    SELECT e.id
    FROM booking_events AS e
    INNER JOIN mixed ON e.slot_id = mixed.slot_id AND e.slot_version = mixed.slot_version
)

SELECT
    e.id AS event_id,
    e.booking_id,
    e.slot_id,
    e.slot_version
FROM booking_events AS e
INNER JOIN astray ON e.id = astray.id
ORDER BY e.id;
