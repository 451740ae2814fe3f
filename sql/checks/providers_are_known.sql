-- A search finds every slot: each one's doctor and specialization stand among the providers, and the
-- specialization among the specializations.
SELECT
    s.id AS slot_id,
    s.doctor_name,
    s.specialization
FROM slots AS s
LEFT JOIN providers AS p
    ON s.doctor_name = p.doctor_name AND coalesce(s.specialization, '') = p.specialization
LEFT JOIN specializations AS known ON coalesce(s.specialization, '') = known.specialization
WHERE p.doctor_name IS NULL OR known.specialization IS NULL
ORDER BY s.id;
