-- An event names its booking's slot, at a version that the slot has had; a version moves the seats of
-- one booking, or of holds that expired together.
WITH moves AS (
    SELECT
        e.id AS event_id,
        e.booking_id,
        e.slot_id,
        e.slot_version,
        count(*) OVER same_version AS moves_of_version,
        count(*) FILTER (WHERE e.type = 'EXPIRED') OVER same_version AS expiries_of_version
    FROM booking_events AS e
    WHERE e.slot_version IS NOT NULL
    WINDOW same_version AS (PARTITION BY e.slot_id, e.slot_version)
)

SELECT
    moves.event_id,
    moves.booking_id,
    moves.slot_id,
    moves.slot_version
FROM moves
LEFT JOIN bookings AS b ON moves.booking_id = b.id
LEFT JOIN slots AS s ON moves.slot_id = s.id
WHERE
    b.slot_id IS DISTINCT FROM moves.slot_id
    OR coalesce(moves.slot_version > s.version, TRUE)
    OR moves.slot_version < 2
    OR (moves.moves_of_version > 1 AND moves.expiries_of_version <> moves.moves_of_version)
ORDER BY moves.event_id;
