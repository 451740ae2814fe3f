-- No slot has fewer than no seats left, nor more than it has.
SELECT
    id AS slot_id,
    total_capacity,
    remaining_capacity
FROM slots
WHERE remaining_capacity < 0 OR remaining_capacity > total_capacity
ORDER BY id;
