-- At most one booking bears a user's key. Reads the table, not the index that should ensure it.
SELECT
    user_id,
    idempotency_key,
    count(*) AS bookings
FROM bookings
WHERE idempotency_key IS NOT NULL
GROUP BY user_id, idempotency_key
HAVING count(*) > 1
ORDER BY user_id, idempotency_key;
