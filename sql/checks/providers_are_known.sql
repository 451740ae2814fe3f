-- A search finds every slot: each one's doctor and specialization stand among the providers.
SELECT
    s.id AS slot_id,
    s.doctor_name,
    s.specialization
FROM slots AS s
LEFT JOIN providers AS p
    ON s.doctor_name = p.doctor_name AND coalesce(s.specialization, '') = p.specialization
WHERE p.doctor_name IS NULL
ORDER BY s.id;
