"""What each constraint of the schema means when it refuses a row.

A test compares the names with ``pg_constraint``: a new constraint is mapped here before it lands.
"""

from __future__ import annotations

from collections.abc import Mapping

from booking.errors import DomainError, SlotHasBookings

DOMAIN_ERRORS: Mapping[str, type[DomainError]] = {
    "bookings_slot_id_fk": SlotHasBookings,
}

# Input is checked before it gets here: one of these is a defect of ours, or somebody at psql.
INTERNAL = frozenset(
    {
        "booking_events_at_ck",
        "booking_events_booking_id_fk",
        "booking_events_id_pk",
        "booking_events_seats_ck",
        "booking_events_slot_version_ck",
        "booking_events_type_ck",
        "bookings_created_at_ck",
        "bookings_expires_at_ck",
        "bookings_failure_reason_ck",
        "bookings_hold_place_ck",
        "bookings_id_pk",
        "bookings_idempotency_key_ck",
        "bookings_num_seats_ck",
        "bookings_status_ck",
        "bookings_status_expires_at_ck",
        "bookings_status_failure_reason_ck",
        "bookings_updated_at_ck",
        "bookings_user_id_ck",
        "bookings_user_id_hold_place_pending_uq",
        "bookings_user_id_idempotency_key_uq",
        "cursor_keys_id_ck",
        "cursor_keys_id_pk",
        "cursor_keys_secret_ck",
        "providers_doctor_name_specialization_pk",
        "schema_migrations_name_pk",
        "slots_created_at_ck",
        "slots_doctor_name_ck",
        "slots_duration_minutes_ck",
        "slots_id_pk",
        "slots_max_seats_per_user_ck",
        "slots_remaining_capacity_ck",
        "slots_specialization_ck",
        "slots_start_time_ck",
        "slots_status_ck",
        "slots_total_capacity_ck",
        "slots_updated_at_ck",
        "slots_version_ck",
        "specializations_specialization_pk",
    }
)
