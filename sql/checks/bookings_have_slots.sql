-- Every booking names a slot that exists.
SELECT
    b.id AS booking_id,
    b.slot_id
FROM bookings AS b
LEFT JOIN slots AS s ON b.slot_id = s.id
WHERE s.id IS NULL
ORDER BY b.id;
