-- All that the migrations made is there: what keeps rows right, what finds them, what a crash leaves.
-- A column that must have a value still must. Names and kinds are compared, not definitions. What is there
-- besides is no fault: a newer release may have made it, which serves beside this one for a while.
WITH expected (kind, name) AS (
    VALUES
    ('durable table', 'booking_events'),
    ('durable table', 'bookings'),
    ('durable table', 'cursor_keys'),
    ('durable table', 'providers'),
    ('durable table', 'schema_migrations'),
    ('durable table', 'slots'),
    ('durable table', 'specializations'),
    ('view', 'current_bookings'),
    ('view', 'current_slots'),
    ('primary key', 'booking_events_id_pk'),
    ('primary key', 'bookings_id_pk'),
    ('primary key', 'cursor_keys_id_pk'),
    ('primary key', 'providers_doctor_name_specialization_pk'),
    ('primary key', 'schema_migrations_name_pk'),
    ('primary key', 'slots_id_pk'),
    ('primary key', 'specializations_specialization_pk'),
    ('unique constraint', 'bookings_user_id_idempotency_key_uq'),
    ('foreign key that restricts', 'booking_events_booking_id_fk'),
    ('foreign key that restricts', 'bookings_slot_id_fk'),
    ('check', 'booking_events_at_ck'),
    ('check', 'booking_events_seats_ck'),
    ('check', 'booking_events_slot_version_ck'),
    ('check', 'booking_events_type_ck'),
    ('check', 'bookings_created_at_ck'),
    ('check', 'bookings_expires_at_ck'),
    ('check', 'bookings_failure_reason_ck'),
    ('check', 'bookings_hold_place_ck'),
    ('check', 'bookings_idempotency_key_ck'),
    ('check', 'bookings_num_seats_ck'),
    ('check', 'bookings_status_ck'),
    ('check', 'bookings_status_expires_at_ck'),
    ('check', 'bookings_status_failure_reason_ck'),
    ('check', 'bookings_updated_at_ck'),
    ('check', 'bookings_user_id_ck'),
    ('check', 'cursor_keys_id_ck'),
    ('check', 'cursor_keys_secret_ck'),
    ('check', 'slots_created_at_ck'),
    ('check', 'slots_doctor_name_ck'),
    ('check', 'slots_duration_minutes_ck'),
    ('check', 'slots_max_seats_per_user_ck'),
    ('check', 'slots_remaining_capacity_ck'),
    ('check', 'slots_specialization_ck'),
    ('check', 'slots_start_time_ck'),
    ('check', 'slots_status_ck'),
    ('check', 'slots_total_capacity_ck'),
    ('check', 'slots_updated_at_ck'),
    ('check', 'slots_version_ck'),
    ('unique index', 'bookings_user_id_hold_place_pending_uq'),
    ('index', 'booking_events_booking_id_id_idx'),
    ('index', 'booking_events_slot_id_slot_version_idx'),
    ('index', 'bookings_expires_at_pending_idx'),
    ('index', 'bookings_slot_id_expires_at_pending_idx'),
    ('index', 'bookings_slot_id_status_created_at_id_idx'),
    ('index', 'bookings_slot_id_user_id_status_created_at_id_idx'),
    ('index', 'bookings_status_created_at_id_idx'),
    ('index', 'bookings_user_id_status_created_at_id_idx'),
    ('index', 'providers_doctor_name_runs_idx'),
    ('index', 'providers_specialization_runs_idx'),
    ('index', 'slots_doctor_name_specialization_status_start_time_id_idx'),
    ('index', 'slots_specialization_status_start_time_id_idx'),
    ('index', 'slots_status_start_time_id_provider_hash_idx'),
    ('index', 'slots_total_capacity_idx'),
    ('index', 'specializations_specialization_runs_idx'),
    ('trigger', 'booking_events_append_only'),
    ('trigger', 'providers_know_specialization'),
    ('trigger', 'slots_know_provider'),
    ('generated column', 'providers.doctor_name_runs'),
    ('generated column', 'providers.specialization_runs'),
    ('generated column', 'specializations.specialization_runs'),
    ('column that must have a value', 'booking_events.at'),
    ('column that must have a value', 'booking_events.booking_id'),
    ('column that must have a value', 'booking_events.id'),
    ('column that must have a value', 'booking_events.seats'),
    ('column that must have a value', 'booking_events.slot_id'),
    ('column that must have a value', 'booking_events.to_status'),
    ('column that must have a value', 'booking_events.type'),
    ('column that must have a value', 'bookings.created_at'),
    ('column that must have a value', 'bookings.id'),
    ('column that must have a value', 'bookings.num_seats'),
    ('column that must have a value', 'bookings.slot_id'),
    ('column that must have a value', 'bookings.status'),
    ('column that must have a value', 'bookings.updated_at'),
    ('column that must have a value', 'bookings.user_id'),
    ('column that must have a value', 'cursor_keys.id'),
    ('column that must have a value', 'cursor_keys.secret'),
    ('column that must have a value', 'providers.doctor_name'),
    ('column that must have a value', 'providers.doctor_name_runs'),
    ('column that must have a value', 'providers.specialization'),
    ('column that must have a value', 'providers.specialization_runs'),
    ('column that must have a value', 'schema_migrations.applied_at'),
    ('column that must have a value', 'schema_migrations.name'),
    ('column that must have a value', 'schema_migrations.sha256'),
    ('column that must have a value', 'slots.created_at'),
    ('column that must have a value', 'slots.doctor_name'),
    ('column that must have a value', 'slots.id'),
    ('column that must have a value', 'slots.remaining_capacity'),
    ('column that must have a value', 'slots.start_time'),
    ('column that must have a value', 'slots.status'),
    ('column that must have a value', 'slots.total_capacity'),
    ('column that must have a value', 'slots.updated_at'),
    ('column that must have a value', 'slots.version'),
    ('column that must have a value', 'specializations.specialization'),
    ('column that must have a value', 'specializations.specialization_runs')
),

present AS (
    SELECT
        CASE c.relkind WHEN 'v' THEN 'view' ELSE 'durable table' END AS kind,
        c.relname::text AS name
    FROM pg_class AS c
    WHERE
        c.relnamespace = current_schema()::regnamespace
        AND c.relkind IN ('r', 'v')
        AND c.relpersistence = 'p'
    UNION ALL
    SELECT
        CASE
            WHEN contype = 'p' THEN 'primary key'
            WHEN contype = 'u' THEN 'unique constraint'
            WHEN contype = 'c' THEN 'check'
            WHEN contype = 'f' AND confdeltype = 'r' THEN 'foreign key that restricts'
        END AS kind,
        conname::text AS name
    FROM pg_constraint
    WHERE connamespace = current_schema()::regnamespace
    UNION ALL
    SELECT
        CASE WHEN i.indisunique THEN 'unique index' ELSE 'index' END AS kind,
        c.relname::text AS name
    FROM pg_index AS i
    INNER JOIN pg_class AS c ON i.indexrelid = c.oid
    WHERE c.relnamespace = current_schema()::regnamespace
    UNION ALL
    SELECT
        'trigger' AS kind,
        t.tgname::text AS name
    FROM pg_trigger AS t
    INNER JOIN pg_class AS c ON t.tgrelid = c.oid
    WHERE c.relnamespace = current_schema()::regnamespace
    UNION ALL
    SELECT
        'generated column' AS kind,
        c.relname || '.' || a.attname AS name
    FROM pg_attribute AS a
    INNER JOIN pg_class AS c ON a.attrelid = c.oid
    WHERE c.relnamespace = current_schema()::regnamespace AND a.attgenerated = 's'
    UNION ALL
    SELECT
        'column that must have a value' AS kind,
        c.relname || '.' || a.attname AS name
    FROM pg_attribute AS a
    INNER JOIN pg_class AS c ON a.attrelid = c.oid
    WHERE c.relnamespace = current_schema()::regnamespace AND a.attnotnull
)

SELECT
    expected.kind,
    expected.name
FROM expected
LEFT JOIN present ON expected.kind = present.kind AND expected.name = present.name
WHERE present.name IS NULL
ORDER BY expected.kind, expected.name;
