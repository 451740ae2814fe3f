-- Each specialization once, so that a search for one alone need not read every provider that has it.
-- '' stands for none, as with the providers.
CREATE TABLE specializations (
    specialization text NOT NULL,
    specialization_runs text[] NOT NULL
    GENERATED ALWAYS AS (letter_runs(specialization, 1)) STORED,
    CONSTRAINT specializations_specialization_pk PRIMARY KEY (specialization)
);

INSERT INTO specializations (specialization)
SELECT DISTINCT specialization
FROM providers;

CREATE INDEX specializations_specialization_runs_idx ON specializations
USING gin (specialization_runs);

CREATE FUNCTION know_specialization() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO specializations (specialization) VALUES (NEW.specialization)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

CREATE TRIGGER providers_know_specialization
AFTER INSERT ON providers
FOR EACH ROW EXECUTE FUNCTION know_specialization();
