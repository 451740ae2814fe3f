-- No two live holds of a user have one place: that would lift the limit of a user's holds. Reads the
-- table, not the index that should ensure it.
SELECT
    user_id,
    hold_place,
    count(*) AS bookings
FROM bookings
WHERE status = 'PENDING' AND hold_place IS NOT NULL
GROUP BY user_id, hold_place
HAVING count(*) > 1
ORDER BY user_id, hold_place;
