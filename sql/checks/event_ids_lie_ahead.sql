-- The next event gets an id above all there are. A sequence that was set back, or left behind by a
-- restored dump, would refuse every booking, or put new events in front of old ones.
SELECT
    max(e.id) AS last_event_id,
    s.last_value,
    s.is_called
FROM booking_events AS e
CROSS JOIN booking_events_id_seq AS s
GROUP BY s.last_value, s.is_called
-- Where it was not called since it was set, the next value is the last one itself.
HAVING max(e.id) > s.last_value - CASE WHEN s.is_called THEN 0 ELSE 1 END;
