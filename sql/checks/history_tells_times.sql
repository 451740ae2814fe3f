-- A booking was made when its first event says, and last changed when its last one does. It has an
-- expiry if it began as a hold, and did not expire before that.
WITH told AS (
    SELECT
        booking_id,
        bool_or(type = 'HELD') AS was_hold,
        max(at) FILTER (WHERE type IN ('HELD', 'BOOKED')) AS made_at,
        max(at) FILTER (WHERE type = 'CONFIRMED') AS confirmed_at,
        max(at) FILTER (WHERE type IN ('EXPIRED', 'CANCELLED')) AS ended_at,
        max(at) FILTER (WHERE type = 'EXPIRED') AS expired_at
    FROM booking_events
    GROUP BY booking_id
)

SELECT
    b.id AS booking_id,
    b.status,
    b.created_at,
    b.updated_at,
    b.expires_at,
    told.was_hold,
    told.made_at,
    told.confirmed_at,
    told.ended_at
FROM bookings AS b
INNER JOIN told ON b.id = told.booking_id
WHERE
    b.created_at <> told.made_at
    OR b.updated_at <> coalesce(told.ended_at, told.confirmed_at, told.made_at)
    OR told.was_hold <> (b.expires_at IS NOT NULL)
    OR told.expired_at < b.expires_at
ORDER BY b.id;
