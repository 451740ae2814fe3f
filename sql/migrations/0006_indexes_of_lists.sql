-- What a page of a list costs depends on the page, not on how many rows there are: each list walks an
-- index that has its filters in front and its order behind them (docs/decisions/0013).

-- The status stands before the order, so that a rare one is found at once. A list that asks for no
-- status reads each of them and merges.
CREATE INDEX slots_status_start_time_id_idx ON slots (status, start_time, id);
DROP INDEX slots_start_time_id_idx;

CREATE INDEX bookings_status_created_at_id_idx ON bookings (status, created_at, id);
CREATE INDEX bookings_user_id_status_created_at_id_idx
ON bookings (user_id, status, created_at, id);
-- The user stands at the end, so that a user's bookings of a slot are picked out within the index.
CREATE INDEX bookings_slot_id_status_created_at_id_user_id_idx
ON bookings (slot_id, status, created_at, id, user_id);
DROP INDEX bookings_created_at_id_idx;
DROP INDEX bookings_user_id_created_at_id_idx;
DROP INDEX bookings_slot_id_created_at_id_idx;

-- No slot has more seats left than it has in all. What is left stands in no index: bookings change it.
CREATE INDEX slots_total_capacity_idx ON slots (total_capacity);

-- Every run of up to three letters that a text has, in lower case. Whatever contains another text, in
-- any case, has all runs of that one (ILIKE compares lower(): PostgreSQL's like.c), so an index of
-- runs finds a substring. pg_trgm would be an extension, and finds nothing for one letter or two.
CREATE FUNCTION letter_runs(content text, shortest integer)
RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(DISTINCT substr(lower(content), place, size)), '{}')
    FROM generate_series(shortest, 3) AS size
    CROSS JOIN LATERAL generate_series(1, char_length(lower(content)) - size + 1) AS place
$$;

-- Who slots are with: each doctor's name and specialization once, '' where there is none. A search
-- looks for its text here, and then walks the slots of each that it found in their order.
CREATE TABLE providers (
    doctor_name text NOT NULL,
    specialization text NOT NULL,
    doctor_name_runs text[] NOT NULL GENERATED ALWAYS AS (letter_runs(doctor_name, 1)) STORED,
    specialization_runs text[] NOT NULL
    GENERATED ALWAYS AS (letter_runs(specialization, 1)) STORED,
    CONSTRAINT providers_doctor_name_specialization_pk PRIMARY KEY (doctor_name, specialization)
);

INSERT INTO providers (doctor_name, specialization)
SELECT DISTINCT
    doctor_name,
    coalesce(specialization, '')
FROM slots;

CREATE INDEX providers_doctor_name_runs_idx ON providers USING gin (doctor_name_runs);
CREATE INDEX providers_specialization_runs_idx ON providers USING gin (specialization_runs);

CREATE INDEX slots_doctor_name_specialization_status_start_time_id_idx
ON slots (doctor_name, coalesce(specialization, ''), status, start_time, id);
CREATE INDEX slots_specialization_status_start_time_id_idx
ON slots (coalesce(specialization, ''), status, start_time, id);

-- A provider that no slot is with any more stays: it costs a search one look, and to find it out
-- would cost each deletion more.
CREATE FUNCTION know_provider() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO providers (doctor_name, specialization)
    VALUES (NEW.doctor_name, coalesce(NEW.specialization, ''))
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

-- A booking changes neither column, so it does not fire.
CREATE TRIGGER slots_know_provider
AFTER INSERT OR UPDATE OF doctor_name, specialization ON slots
FOR EACH ROW EXECUTE FUNCTION know_provider();

CREATE OR REPLACE VIEW current_bookings AS
SELECT
    b.id,
    b.slot_id,
    b.user_id,
    b.num_seats,
    CASE WHEN lapse.has_lapsed THEN 'FAILED' ELSE b.status END AS status,
    CASE WHEN lapse.has_lapsed THEN 'EXPIRED' ELSE b.failure_reason END AS failure_reason,
    b.expires_at,
    b.idempotency_key,
    b.created_at,
    b.updated_at,
    lapse.has_lapsed AS is_unswept,
    -- For the indexes, which know of this one alone.
    b.status AS stored_status
FROM bookings AS b
CROSS JOIN LATERAL (
    SELECT b.status = 'PENDING' AND b.expires_at <= statement_timestamp() AS has_lapsed
) AS lapse;
