-- A search that few doctors match reads the next slots' index entries, which tell by this hash whose
-- each slot is, and fetches no others (docs/decisions/0013). Two providers may share it.
CREATE FUNCTION provider_hash(doctor_name text, specialization text)
RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT hashtextextended(doctor_name, hashtextextended(coalesce(specialization, ''), 0))
$$;

CREATE INDEX slots_status_start_time_id_provider_hash_idx
ON slots (status, start_time, id, provider_hash(doctor_name, specialization));
