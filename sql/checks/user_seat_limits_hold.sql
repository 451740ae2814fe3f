-- No booking was made that gave its user more seats of a slot than max_seats_per_user, by what the user
-- had at that version. What a limit was before is not stored. But each version of a slot has an event
-- of the seats that moved, or is an admin's change; so the limit that stands was that of every booking
-- since the last version without an event, and these are judged. A limit that is set or lowered below
-- what a user has already is no violation. The largest version there is stays as it is, whatever is
-- changed: it tells nothing.
WITH moves AS (
    SELECT
        e.slot_id,
        b.user_id,
        e.slot_version,
        e.type,
        s.max_seats_per_user,
        e.slot_version = s.version + 1 - dense_rank() OVER newest_first AS is_since_change,
        sum(CASE WHEN e.type IN ('HELD', 'BOOKED') THEN e.seats ELSE -e.seats END)
            OVER of_user AS seats
    FROM slots AS s
    INNER JOIN booking_events AS e ON s.id = e.slot_id
    INNER JOIN bookings AS b ON e.booking_id = b.id
    WHERE
        s.max_seats_per_user IS NOT NULL
        AND s.version < 9223372036854775807
        AND e.slot_version IS NOT NULL
    WINDOW
        newest_first AS (PARTITION BY e.slot_id ORDER BY e.slot_version DESC),
        of_user AS (PARTITION BY e.slot_id, b.user_id ORDER BY e.slot_version)
)

SELECT
    slot_id,
    user_id,
    slot_version,
    max_seats_per_user,
    seats
FROM moves
WHERE type IN ('HELD', 'BOOKED') AND is_since_change AND seats > max_seats_per_user
ORDER BY slot_id, slot_version;
